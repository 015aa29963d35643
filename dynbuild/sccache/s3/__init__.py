"""The bucket of the compile cache: credentials, preflight, figures, and deleting old objects.

The one place that talks to S3.  No call takes ten seconds, none is repeated, and no message
holds anything of the credentials: of what a library or server says only the kind is passed on.
"""
