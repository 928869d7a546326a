"""Parameters that several endpoints share, and the pages that they lead to."""

from typing import Annotated, Any

from fastapi import Path, Query, Request

SweepName = Annotated[str, Path(description="Name of a sweep.", max_length=200, examples=["digits"])]
ModelName = Annotated[str, Path(description="Name of a model.", max_length=200, examples=["fashion"])]
TrialNumber = Annotated[int, Path(description="Number of a trial.", ge=0, lt=2**31, examples=[0])]
ItemNumber = Annotated[int, Path(description="Number of an item of the queue.", ge=1, lt=2**31, examples=[1])]
VersionNumber = Annotated[int, Path(description="Number of a version.", ge=1, lt=2**31, examples=[1])]
Limit = Annotated[int, Query(description="Entries of a page, at most.", ge=1, le=500)]
Where = Annotated[
    str | None,
    Query(
        description="Only trials whose row meets this condition in SQL.",
        max_length=10_000,
        examples=["active_units > 8"],
    ),
]


def page(request: Request, items: list[Any], *, next_cursor: object, **more: Any) -> dict[str, Any]:
    """A page: its items, and the address of the next one (None after the last)."""
    following = None if next_cursor is None else request.url.include_query_params(cursor=str(next_cursor))
    address = None if following is None else f"{following.path}?{following.query}"
    return {"items": items, "next": address, **more}
