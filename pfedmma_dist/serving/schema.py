"""The schema: what programs may ask the server, as OpenAPI 3.1 describes it."""

from typing import Any

from pfedmma_dist import __version__
from pfedmma_dist.serving.limits import Limits

Json = dict[str, Any]

GUESS: Json = {
    "type": "object",
    "required": ["class", "probability"],
    "properties": {
        "class": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
IMAGE: Json = {
    "type": "object",
    "description": "answers, or an error in words where the image could not be read",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "as it was sent; empty for a plain body"},
        "width": {"type": "integer", "description": "pixels"},
        "height": {"type": "integer", "description": "pixels"},
        "note": {"type": "string", "description": "how it was read, where that may surprise"},
        "error": {"type": "string"},
        "answers": {
            "type": "object",
            "description": "who was asked (a client's number, zero-shot, shared) -> the most "
            "probable classes, best first",
            "additionalProperties": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Guess"},
            },
        },
    },
}
REPLY: Json = {
    "type": "object",
    "required": ["client", "top", "images"],
    "properties": {
        "client": {"type": "string"},
        "top": {"type": "integer"},
        "images": {"type": "array", "items": {"$ref": "#/components/schemas/Image"}},
    },
}
ERROR: Json = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def schema(limits: Limits, num_clients: int, top: int) -> Json:
    """Return the document. top: classes of an answer where a request does not say."""
    classify = {
        "summary": "Classify images by a client's model, zero-shot CLIP and the global model",
        "parameters": [
            {
                "name": "client",
                "in": "query",
                "description": f"0 to {num_clients - 1}, shared or zero-shot",
                "schema": {"type": "string"},
            },
            {
                "name": "top",
                "in": "query",
                "description": "classes of each answer; all where there are fewer",
                "schema": {"type": "integer", "minimum": 1, "default": top},
            },
        ],
        "requestBody": {
            "required": True,
            "description": f"at most {limits.body:,} bytes, {limits.images} images, and "
            f"{limits.pixels:,} pixels an image",
            "content": {
                "image/*": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "image": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                },
            },
        },
        "responses": {
            "200": _content("An answer for each image that could be read", "Reply"),
            "400": _content("No image could be read (a Reply), or a wrong question", None),
            "408": _content("The request came too slowly", "Error"),
            "413": _content("Too many bytes or images", "Error"),
            "415": _content("The body is of a type that is no image", "Error"),
            "503": _content("Too much to do; Retry-After says when to come again", "Error"),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "pfedmma_dist.serve", "version": __version__},
        "paths": {
            "/classify": {"post": classify},
            "/clients": {"get": _get("Who may be asked, among which classes, and the limits")},
            "/clients/{client}": {
                "get": _get("Which classes a client owns, and whether it has trained"),
                "parameters": [
                    {"name": "client", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
            },
            "/health": {"get": _get("Whether requests are answered")},
        },
        "components": {"schemas": {"Guess": GUESS, "Image": IMAGE, "Reply": REPLY, "Error": ERROR}},
    }


def _content(words: str, name: str | None) -> Json:
    """Return a response. name: of its schema; None: a Reply or an Error."""
    known = [{"$ref": f"#/components/schemas/{one}"} for one in ("Reply", "Error")]
    found = {"$ref": f"#/components/schemas/{name}"} if name else {"oneOf": known}
    return {"description": words, "content": {"application/json": {"schema": found}}}


def _get(words: str) -> Json:
    answer = {"description": words, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"summary": words, "responses": {"200": answer}}
