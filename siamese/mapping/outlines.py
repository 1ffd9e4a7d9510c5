"""Draws outlines as people draw them: straight walls, right angles where the roof has them, no steps of pixels.

An outline follows the edge of pixels, so it has a corner every few pixels and spurs a pixel wide. Most roofs are
rectangles or made of rectangles along one pair of axes. So an outline becomes, of these, the simplest that still covers
the same ground: the rectangle along its axes, a polygon of right angles along them, or the outline with fewer corners.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

Shapes = npt.NDArray[Any]
Points = npt.NDArray[np.float64]

_SPUR_PX: Final = 1.0
"""Spurs and gaps of up to twice this width go."""
_FEWER_PX: Final = 1.5
"""Outlines without right angles lose corners that are less than this off."""
_LEAST_WALL_PX: Final = 3.0
"""Walls between right angles that are shorter are drawn into their neighbours."""
_RECTANGLE_IOU: Final = 0.8
"""Overlap with the pixels, over their union, from which a rectangle will do."""
_RIGHT_IOU: Final = 0.82
"""The same for a polygon of right angles."""
_LEAST_HOLE: Final = 0.05
"""Courtyards that take a smaller share of a building are filled."""
_MAIN_PART: Final = 0.7
"""Share of a building from which its greatest part stands for all of it."""


def drawn(outlines: Shapes) -> Shapes:
    """Returns outlines as people would draw them.

    Args:
        outlines: ``(n,)`` polygons or multipolygons along the edges of pixels, in pixels.

    Returns:
        ``(n,)`` valid polygons of about the same area; multipolygons only where parts lie apart.
    """
    if not len(outlines):
        return outlines
    bodies = _bodies(outlines)
    frames = shapely.oriented_envelope(bodies)
    boxes = _fitted(frames, shapely.area(bodies))
    good = _overlap(boxes, bodies) >= _RECTANGLE_IOU
    found = bodies.copy()
    found[good] = boxes[good]
    for place in np.flatnonzero(~good):
        found[place] = _many_walls(bodies[place], frames[place])
    return found


def apart(outlines: Shapes, others: Shapes) -> Shapes:
    """Takes neighbours apart: where two outlines overlap, both end at the line through the points where they cross.

    Args:
        outlines: ``(n,)`` polygons.
        others: ``(n,)`` for each one that it may overlap.

    Returns:
        ``(n,)`` the first ones, cut.
    """
    found = outlines.copy()
    for place in np.flatnonzero(shapely.intersects(outlines, others)):
        found[place] = _cut(outlines[place], others[place])
    return found


def _bodies(outlines: Shapes) -> Shapes:
    """Closes gaps, cuts spurs, fills small courtyards, and leaves one part where one is most of the building."""
    closed = shapely.buffer(outlines, _SPUR_PX, quad_segs=2)
    opened = shapely.buffer(closed, -2 * _SPUR_PX, quad_segs=2)
    bodies = shapely.buffer(opened, _SPUR_PX, quad_segs=2)
    # What is thinner than a spur all over stays as it is.
    gone = shapely.area(bodies) < 0.5 * shapely.area(outlines)
    bodies[gone] = shapely.buffer(shapely.buffer(outlines[gone], _SPUR_PX / 2), -_SPUR_PX / 2)
    for place in range(len(bodies)):
        bodies[place] = _one_part(bodies[place])
    return bodies


def _one_part(body: Any) -> Any:  # noqa: ANN401
    parts = shapely.get_parts(body)
    if len(parts) > 1:
        areas = shapely.area(parts)
        if areas.max() >= _MAIN_PART * areas.sum():
            parts = parts[[int(areas.argmax())]]
    filled = [_filled(part) for part in parts]
    return filled[0] if len(filled) == 1 else shapely.MultiPolygon(filled)


def _filled(part: shapely.Polygon) -> shapely.Polygon:
    if not part.interiors:
        return part
    whole = shapely.Polygon(part.exterior).area
    kept = [ring for ring in part.interiors if shapely.Polygon(ring).area >= _LEAST_HOLE * whole]
    return shapely.Polygon(part.exterior, kept)


def _fitted(frames: Shapes, areas: npt.NDArray[np.float64]) -> Shapes:
    """Returns frames shrunk towards their middles to the given areas."""
    scale = np.sqrt(areas / np.maximum(shapely.area(frames), 1e-9))
    middles = shapely.get_coordinates(shapely.centroid(frames))
    counts = shapely.get_num_coordinates(frames)
    about = np.repeat(middles, counts, axis=0)
    points = (shapely.get_coordinates(frames) - about) * np.repeat(scale, counts)[:, None] + about
    return np.asarray(shapely.set_coordinates(frames.copy(), points), dtype=object)


def _overlap(one: Shapes, other: Shapes) -> npt.NDArray[np.float64]:
    common = shapely.area(shapely.intersection(one, other))
    union = shapely.area(one) + shapely.area(other) - common
    return np.asarray(common / np.maximum(union, 1e-9))


def _many_walls(body: Any, frame: Any) -> Any:  # noqa: ANN401
    """Returns a polygon of right angles, or one with fewer corners where that does not fit."""
    fewer = shapely.simplify(body, _FEWER_PX)
    if not isinstance(fewer, shapely.Polygon) or fewer.is_empty or not fewer.is_valid:
        return body if fewer.is_empty or not fewer.is_valid else fewer
    axes = _axes(frame)
    ring = _right_angles(np.asarray(fewer.exterior.coords)[:-1] @ axes.T)
    if ring is None:
        return fewer
    holes = [hole for one in fewer.interiors if (hole := _right_angles(np.asarray(one.coords)[:-1] @ axes.T)) is not None]
    straight = shapely.Polygon(ring @ axes, [hole @ axes for hole in holes])
    if not straight.is_valid:
        return fewer
    fits = _overlap(np.array([straight], object), np.array([body], object))[0] >= _RIGHT_IOU
    return straight if fits else fewer


def _axes(frame: Any) -> Points:  # noqa: ANN401
    """Returns the two axes of a frame as rows of a rotation."""
    points = np.asarray(frame.exterior.coords)
    along = points[1] - points[0]
    x, y = along / max(float(np.hypot(*along)), 1e-9)
    return np.array([[x, y], [-y, x]])


def _right_angles(ring: Points) -> Points | None:
    """Returns a ring whose walls run along the axes by turns; None where fewer than four remain.

    Args:
        ring: ``(n, 2)`` corners along the axes, without the first one again.
    """
    after = np.roll(ring, -1, axis=0)
    edges = after - ring
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    flat = np.abs(edges[:, 0]) >= np.abs(edges[:, 1])
    # A wall along x is at one y, and the other way round: the mean of the edges that it is made of.
    level = np.where(flat, (ring[:, 1] + after[:, 1]) / 2, (ring[:, 0] + after[:, 0]) / 2)
    walls = _joined([(bool(way), float(at), float(long)) for way, at, long in zip(flat, level, lengths, strict=True)])
    while len(walls) > 4:
        shortest = min(range(len(walls)), key=lambda number: _length(walls, number))
        if _length(walls, shortest) >= _LEAST_WALL_PX:
            break
        walls = _joined(walls[:shortest] + walls[shortest + 1 :])
    if len(walls) < 4 or len(walls) % 2:
        return None
    corners = [
        (one[1], other[1]) if other[0] else (other[1], one[1])
        for one, other in zip(walls, walls[1:] + walls[:1], strict=True)
    ]
    return np.array(corners)


Wall = tuple[bool, float, float]
"""Whether it runs along x, where it is on the other axis, and the length of the edges that it is made of."""


def _joined(walls: list[Wall]) -> list[Wall]:
    """Joins neighbouring walls that run the same way, at the mean of their places by length."""
    done: list[Wall] = []
    for wall in walls:
        if done and done[-1][0] == wall[0]:
            done[-1] = _mean(done[-1], wall)
        else:
            done.append(wall)
    while len(done) > 1 and done[0][0] == done[-1][0]:
        done[0] = _mean(done[0], done.pop())
    return done


def _mean(one: Wall, other: Wall) -> Wall:
    long = one[2] + other[2]
    return one[0], (one[1] * one[2] + other[1] * other[2]) / max(long, 1e-9), long


def _length(walls: list[Wall], number: int) -> float:
    """Returns the length of a wall between its neighbours."""
    return abs(walls[number - 1][1] - walls[(number + 1) % len(walls)][1])


def _cut(one: Any, other: Any) -> Any:  # noqa: ANN401
    """Returns what lies on a shape's own side of the line through the two points where it crosses another."""
    common = shapely.intersection(one, other)
    if common.area <= 0:
        return one
    crossings = shapely.get_coordinates(shapely.intersection(one.boundary, other.boundary))
    if len(crossings) < 2:
        return _largest(shapely.difference(one, other), one)
    first, last = _farthest(crossings)
    along = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    aside = np.array([-along[1], along[0]])
    reach = 4 * float(np.hypot(*np.subtract(one.bounds[2:], one.bounds[:2]))) + 4 * float(np.hypot(*(last - first))) + 1
    own = np.asarray(shapely.difference(one, other).centroid.coords) if not one.within(other) else np.zeros((0, 2))
    if not len(own):
        return one
    side = np.sign(float((own[0] - first) @ aside)) or 1.0
    ends = first - along * reach, last + along * reach
    half = shapely.Polygon([ends[0], ends[1], ends[1] + aside * side * reach, ends[0] + aside * side * reach])
    kept = shapely.intersection(common, half)
    return _largest(shapely.union(shapely.difference(one, other), kept), one)


def _farthest(points: Points) -> tuple[Points, Points]:
    off = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    one, other = np.unravel_index(int(off.argmax()), off.shape)
    first, last = sorted([tuple(points[one]), tuple(points[other])])
    return np.array(first), np.array(last)


def _largest(found: Any, otherwise: Any) -> Any:  # noqa: ANN401
    """Returns the greatest polygon of what a cut left."""
    parts = [part for part in shapely.get_parts(found) if isinstance(part, shapely.Polygon) and part.area > 0]
    return max(parts, key=lambda part: part.area) if parts else otherwise
