"""Examples of the API's documentation; the tests send them."""

from typing import Any

from vae_search.errors import PROBLEM_URN

SPEC = """\
name: digits
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 16}
  beta: {type: float, low: 0.5, high: 2.0}
budget: {trials: 8, epochs: 9}
"""
SPEC_JSON: dict[str, Any] = {
    "name": "digits",
    "data": {"source": "digits"},
    "search_space": {"latent_dim": {"type": "int", "low": 2, "high": 16}},
    "budget": {"trials": 8, "epochs": 9},
}
SPEC_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A sweep's spec; `GET /api/v1/schema` has its JSON Schema.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": SPEC},
            "application/json": {"schema": {"type": "object"}, "example": SPEC_JSON},
        },
    }
}
SQL = "SELECT param_latent_dim, min(neg_elbo) FROM trials GROUP BY ALL ORDER BY 2"
PROBLEM: dict[str, Any] = {
    "type": f"{PROBLEM_URN}invalid-spec",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "spec:5: budget.trials: must be >= 1, but got 0.",
    "exit_code": 2,
    "errors": [{"line": 5, "key": "budget.trials", "detail": "must be >= 1, but got 0."}],
}
