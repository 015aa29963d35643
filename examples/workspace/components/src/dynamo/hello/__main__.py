"""``python -m dynamo.hello [TEXT]``: print the report as JSON."""

import json
import sys

from dynamo.hello import report

text = " ".join(sys.argv[1:]) or "hello from dynamo"
print(json.dumps(report(text), indent=2))
