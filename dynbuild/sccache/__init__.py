"""The compile cache: where sccache keeps objects, what it did, and the bucket in S3."""
