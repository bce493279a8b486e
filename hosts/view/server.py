"""The server of the page: a few answers to the page's own requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from relume.errors import Cancelled, InputError, RelumeError, UsageError
from relume.hosts.view import looks, packing
from relume.hosts.view.folders import Forbidden
from relume.hosts.view.guard import Guard
from relume.hosts.view.look import Look, command_of, graph_of
from relume.hosts.view.session import Job, Session
from relume.hosts.view.shelf import Shelf
from relume.nodes.registry import REGISTRY

STATIC = Path(__file__).with_name("static")

UPLOAD = 256 << 20
"""Bytes of a dropped file, unless the user allows more."""

_JSON = 1 << 20
_PATIENCE = 0.25
"""Seconds an unfinished frame is waited for before its progress is told."""


class TooLarge(RelumeError):
    """A request is larger than is taken."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the server of a page knows.

    Attributes:
        session: the frames.
        shelf: the lights.
        opening: what the page is told first.
        upload: bytes of a dropped file at most.
    """

    session: Session
    shelf: Shelf
    opening: dict[str, Any]
    upload: int = UPLOAD


def application(page: Page, token: str) -> Starlette:
    """Return the server of a page.

    Args:
        page: what it serves.
        token: what each request must carry.
    """
    api = _Api(page)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(page.session.close)

    async def index(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    routes = [
        Route("/", index),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/api/opening", _told(api.opening)),
        Route("/api/frame/{frame:int}", _told(api.frame)),
        Route("/api/cancel", _told(api.cancel), methods=["POST"]),
        Route("/api/lights", _told(api.lights)),
        Route("/api/light", _told(api.light), methods=["POST"]),
        Route("/api/environment", _told(api.environment), methods=["POST"]),
        Route("/api/upload", _told(api.upload), methods=["POST"]),
        Route("/api/display", _told(api.display), methods=["POST"]),
        Route("/api/graph", _told(api.graph), methods=["POST"]),
        Route("/api/command", _told(api.command), methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token)], lifespan=lifespan)


def serve(page: Page, token: str, listener: socket.socket) -> None:
    """Serve a page until Ctrl-C.

    Args:
        page: what is served.
        token: what each request must carry.
        listener: a bound socket of this machine alone.
    """
    import uvicorn

    config = uvicorn.Config(
        application(page, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        # uvicorn shuts down in order and then raises the signal again.
        return


class _Api:
    """Answers to the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session = page.session
        self.shelf = page.shelf

    async def opening(self, request: Request) -> Response:
        return JSONResponse(self.page.opening)

    async def frame(self, request: Request) -> Response:
        found = self.session.request(int(request.path_params["frame"]))
        if not isinstance(found, Job):
            return _binary(found)
        waiting = asyncio.wrap_future(found.result)
        # A failure that nobody waited for is told to whoever asks next.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait([waiting], timeout=_PATIENCE)
        if not done:
            return JSONResponse(found.status, status_code=202)
        try:
            return _binary(waiting.result())
        except Exception:
            self.session.forget(found)
            raise

    async def cancel(self, request: Request) -> Response:
        document = await _document(request)
        frame = document.get("frame")
        self.session.cancel(frame if isinstance(frame, int) else None)
        return JSONResponse({})

    async def lights(self, request: Request) -> Response:
        from relume.media.sequence import path_at

        source = self.session.subject.source
        frames = [path_at(source, frame) for frame in self.session.frames]
        found = await run_in_threadpool(self.shelf.folders.environments, frames)
        return JSONResponse([str(path) for path in found])

    async def light(self, request: Request) -> Response:
        document = await _document(request)
        source, adjust = str(document.get("source")), document.get("adjust", {})
        if not isinstance(adjust, dict):
            raise UsageError("the knobs of a light are no JSON object")
        light = await run_in_threadpool(self.shelf.maps, source, adjust, *_fov(document))
        return _binary(packing.pack_light(light))

    async def environment(self, request: Request) -> Response:
        from relume.colour import convert, working_space

        document = await _document(request)
        source = str(document.get("source"))

        def picture() -> bytes:
            image = convert(self.shelf.environment(source, *_fov(document)), working_space())
            return packing.pack_environment(image)

        return _binary(await run_in_threadpool(picture))

    async def upload(self, request: Request) -> Response:
        content = await _body(request, self.page.upload)
        name = request.query_params.get("name", "")
        path = await run_in_threadpool(self.shelf.keep, name, content)
        kept = path.is_relative_to(self.shelf.kept)
        return JSONResponse({"source": str(path), "kept": kept})

    async def display(self, request: Request) -> Response:
        document = await _document(request)
        names = str(document.get("display")), str(document.get("view"))
        lattice = await run_in_threadpool(looks.bake, *names)
        return _binary(packing.message({"shaper": looks.shaper()}, {"lattice": lattice}))

    async def graph(self, request: Request) -> Response:
        look = Look.of(await _document(request))
        graph = graph_of(self.session.subject, look, self.shelf)
        return Response(graph.to_json(REGISTRY), media_type="application/json")

    async def command(self, request: Request) -> Response:
        look = Look.of(await _document(request))
        return JSONResponse({"command": command_of(self.session.subject, look, self.shelf)})


def _told(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return an answer that tells errors in a sentence."""

    async def telling(request: Request) -> Response:
        try:
            return await answer(request)
        except RelumeError as error:
            return JSONResponse({"error": str(error)}, status_code=_status(error))

    return telling


def _status(error: RelumeError) -> int:
    kinds = {Forbidden: 403, TooLarge: 413, Cancelled: 409, InputError: 422, UsageError: 400}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 500)


async def _body(request: Request, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: it is larger than `most` bytes; the rest of it is not read.
    """
    # A header may be missing or lie, so what comes is counted as well.
    length = request.headers.get("content-length", "0")
    parts, size = [], int(length) if length.isdigit() else 0
    if size <= most:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                break
            parts.append(part)
    if size > most:
        raise TooLarge(
            f"the file is larger than {most / 2**20:g} MiB",
            way_out="Start `relume view` with --allow and its folder, or a higher --max-upload",
        )
    return b"".join(parts)


async def _document(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        UsageError: it is none.
    """
    try:
        document = json.loads(await _body(request, _JSON))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError("the request is no JSON object")
    return document


def _fov(document: dict[str, Any]) -> tuple[float, ...]:
    """Return the field of view that a request names, for lights that are estimated."""
    return (document["fov"],) if "fov" in document else ()


def _binary(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")
