"""Prints the API's OpenAPI document: python -m scripts.openapi > openapi.json"""

import json
import sys

from marketplace.api.app import create_app

if __name__ == "__main__":
    json.dump(create_app(None).openapi(), sys.stdout, indent=1)
    sys.stdout.write("\n")
