"""A service: `SETFUSE_BUNDLE=bundle uvicorn service:app`, then POST {"text": ...} to /classify."""  # noqa: INP001 - in no package

import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from setfuse.runtime import Classifier, ClassifierClosed, DeadlineExceeded, Overloaded

STATUS = {
    ClassifierClosed: 503,
    Overloaded: 503,
    DeadlineExceeded: 504,
    TypeError: 422,  # InvalidText among them
    KeyError: 422,
    ValueError: 400,  # no JSON
}


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Load the bundle at the start; at the end answer who is waiting, and close it."""
    async with Classifier.load(os.environ["SETFUSE_BUNDLE"]) as app.state.classifier:
        app.state.classifier.warmup()
        yield


async def classify(request: Request) -> JSONResponse:
    """Classify one text; requests at the same time share runs of the graph."""
    text = (await request.json())["text"]
    prediction = await request.app.state.classifier.aclassify(text, timeout=2.0)
    return JSONResponse(dataclasses.asdict(prediction))


async def stats(request: Request) -> JSONResponse:
    """Say what was done so far, for a monitor, and that the service is up."""
    return JSONResponse(dataclasses.asdict(request.app.state.classifier.stats))


async def refuse(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - as Starlette calls it
    """Turn an error into a status and a sentence."""
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status)


routes = [Route("/classify", classify, methods=["POST"]), Route("/stats", stats)]
app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=dict.fromkeys(STATUS, refuse))
