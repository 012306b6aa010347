"""Reads manifests from the standard input and writes them as a JSON list. With arguments, versions of Kubernetes,
each manifest must be exactly what that version's API describes; kinds that it does not describe are custom ones."""

import json
import sys

import kubernetes_validate
import yaml

documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
mistakes = []
for version in sys.argv[1:]:
    version = kubernetes_validate.latest_version() if version == "newest" else version
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            group = document["apiVersion"].split("/")[0]
            if group != "monitoring.coreos.com":
                mistakes.append(f"{version}: {document['apiVersion']} {document['kind']} is not known")
        except kubernetes_validate.ValidationError as mistake:
            path = ".".join(str(step) for step in mistake.path)
            name = document["metadata"]["name"]
            mistakes.append(f"{version}: {document['kind']} {name}: {path}: {mistake.message}")
if mistakes:
    sys.exit("\n".join(mistakes))
json.dump(documents, sys.stdout)
