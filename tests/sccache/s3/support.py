"""What the tests of the bucket share."""

import re


def only(findings, env=None):
    """The one finding, which shows nothing of the credentials."""
    (found,) = findings
    assert found.message
    assert found.remedy
    assert not re.search(r"\. |\.$|\{", found.message)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if env and env.get(name):
            assert env[name] not in str(found)
    return found
