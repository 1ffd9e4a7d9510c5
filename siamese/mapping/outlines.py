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
_STEP_PX: Final = 0.75
"""Steps of pixels are no deeper."""
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
_OUT: Final = 0.25
"""Share of a building's side by which straight walls may lie outside its pixels, ..."""
_OUT_PX: Final = (5.0, 9.0)
"""... and no less and no more than so many pixels: a yard is no roof."""
REACH_PX: Final = 12.0
"""Outlines stay within so many pixels of the pixels that they are drawn around."""
_HAIR_PX: Final = 1e-6
_NOTCH_PX: Final = 0.25
"""Notches that a cut leaves are no deeper."""
_MOST_OF_IT: Final = 0.9
"""Share of a building from which what was cut off is not missed: its area stays."""
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
    # Windows leave corners on straight walls, and begin rings anywhere: neither may show.
    outlines = _fewer(np.asarray(shapely.normalize(outlines), dtype=object), 0.0)
    bodies = _bodies(_fewer(outlines, _STEP_PX))
    frames = shapely.oriented_envelope(bodies)
    areas, whole = shapely.area(bodies), shapely.area(outlines)
    boxes = _fitted(frames, np.where(areas >= _MOST_OF_IT * whole, whole, areas))
    reach = np.clip(_OUT * np.sqrt(areas), *_OUT_PX)
    good = (_overlap(boxes, bodies) >= _RECTANGLE_IOU) & (_off(boxes, bodies) <= reach)
    found = bodies.copy()
    found[good] = boxes[good]
    for place in np.flatnonzero(~good):
        found[place] = _many_walls(bodies[place], frames[place], float(reach[place]))
    return found


def apart(current: Any, outline: Any, neighbour: Any, *, fixed: bool = False) -> Any:  # noqa: ANN401
    """Takes an outline apart from a neighbour: both end at the line through the points where they cross.

    Args:
        current: The outline, which may have been cut along other neighbours already.
        outline: As it was drawn.
        neighbour: The neighbour, as it was drawn, so that the order in which pairs are cut does not matter.
        fixed: The neighbour keeps all its ground.

    Returns:
        The outline without what lies on the neighbour's side.
    """
    common = shapely.intersection(outline, neighbour)
    if common.area <= 0 or outline.area <= 0:
        return current
    theirs = common if fixed else _side_of(outline, neighbour, common)
    if theirs.area <= 0:
        return current
    # Rounding leaves a thread where cut and outline run along each other: a hair more is cut.
    cut = shapely.difference(current, theirs.buffer(_HAIR_PX, join_style="mitre"))
    return shapely.simplify(_largest(cut, current), _NOTCH_PX)


def _side_of(outline: Any, neighbour: Any, common: Any) -> Any:  # noqa: ANN401
    """Returns the part of what two outlines share that goes to the neighbour."""
    crossings = shapely.get_coordinates(shapely.intersection(outline.boundary, neighbour.boundary))
    own = shapely.difference(outline, neighbour)
    other = shapely.difference(neighbour, outline)
    if own.area <= 0 or other.area <= 0 or len(crossings) < 2:
        # One holds the other: the smaller one keeps its ground; of two alike, the one that comes first.
        mine = (outline.area, tuple(outline.bounds)) <= (neighbour.area, tuple(neighbour.bounds))
        return shapely.Polygon() if mine else common
    first, last = _farthest(crossings)
    length = float(np.hypot(*(last - first)))
    if length <= 0:
        return shapely.Polygon()
    along = (last - first) / length
    aside = np.array([-along[1], along[0]])
    middles = np.array([own.centroid.coords[0], other.centroid.coords[0]])
    lean = float((middles[1] - middles[0]) @ aside)
    reach = 2 * length + 2 * float(np.hypot(*np.subtract(common.bounds[2:], common.bounds[:2]))) + 1
    ends = first - along * reach, last + along * reach
    off = aside * reach * (1 if lean >= 0 else -1)
    half = shapely.Polygon([ends[0], ends[1], ends[1] + off, ends[0] + off])
    return shapely.intersection(common, half)


def _bodies(outlines: Shapes) -> Shapes:
    """Closes gaps, cuts spurs, fills small courtyards, and leaves one part where one is most of the building."""
    bodies = _moved(_moved(_moved(outlines, _SPUR_PX), -2 * _SPUR_PX), _SPUR_PX)
    # What is no wider than a spur stays as it is.
    gone = shapely.area(bodies) < 0.5 * shapely.area(outlines)
    bodies[gone] = _moved(_moved(outlines[gone], _SPUR_PX / 2), -_SPUR_PX / 2)
    for place in range(len(bodies)):
        bodies[place] = _one_part(bodies[place])
    return bodies


def _moved(outlines: Shapes, off: float | npt.NDArray[np.float64]) -> Shapes:
    """Moves walls outwards; corners stay corners."""
    return np.asarray(shapely.buffer(outlines, off, join_style="mitre"), dtype=object)


def _fewer(outlines: Shapes, off_px: float) -> Shapes:
    """Leaves out corners that are less than this off; what would be no polygon then stays as it is."""
    fewer = shapely.simplify(outlines, off_px)
    return np.where(shapely.is_valid(fewer) & ~shapely.is_empty(fewer), fewer, outlines)


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


def _off(outlines: Shapes, bodies: Shapes) -> npt.NDArray[np.float64]:
    """Returns how far each outline lies outside its body at most, at its corners."""
    counts = shapely.get_num_coordinates(outlines)
    corners = shapely.points(shapely.get_coordinates(outlines))
    off = shapely.distance(corners, np.repeat(bodies, counts))
    return np.maximum.reduceat(off, np.concatenate([[0], np.cumsum(counts)[:-1]]))


def _many_walls(body: Any, frame: Any, reach: float) -> Any:  # noqa: ANN401
    """Returns a polygon of right angles, or one with fewer corners where that does not fit."""
    fewer = shapely.simplify(body, _FEWER_PX)
    if not isinstance(fewer, shapely.Polygon) or fewer.is_empty or not fewer.is_valid:
        return body if fewer.is_empty or not fewer.is_valid else fewer
    found, best = fewer, _RIGHT_IOU
    for axes in (_axes(frame), _walls_axes(np.asarray(fewer.exterior.coords))):
        straight = _straight(fewer, axes)
        if straight is None:
            continue
        one, other = np.array([straight], object), np.array([body], object)
        fits = float(_overlap(one, other)[0])
        if fits <= best or _off(one, other)[0] > reach:
            continue
        found, best = straight, fits
    return found


def _straight(outline: shapely.Polygon, axes: Points) -> shapely.Polygon | None:
    """Returns a polygon with its walls along two axes; None where that gives none."""
    rings = [_right_angles(np.asarray(ring.coords)[:-1] @ axes.T) for ring in (outline.exterior, *outline.interiors)]
    if rings[0] is None:
        return None
    shell, *holes = (ring @ axes for ring in rings if ring is not None)
    found = shapely.Polygon(shell, holes)
    return found if found.is_valid and found.area > 0 else None


def _walls_axes(ring: Points) -> Points:
    """Returns the axes along which most of the walls run: the mean of their directions, alike after a quarter turn."""
    edges = np.diff(ring, axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    turned = (lengths**2 * np.exp(4j * np.arctan2(edges[:, 1], edges[:, 0]))).sum()
    angle = float(np.angle(turned)) / 4
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


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


def _farthest(points: Points) -> tuple[Points, Points]:
    off = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    one, other = np.unravel_index(int(off.argmax()), off.shape)
    first, last = sorted([tuple(points[one]), tuple(points[other])])
    return np.array(first), np.array(last)


def _largest(found: Any, otherwise: Any) -> Any:  # noqa: ANN401
    """Returns the greatest polygon of what a cut left."""
    parts = [part for part in shapely.get_parts(found) if isinstance(part, shapely.Polygon) and part.area > 0]
    return max(parts, key=lambda part: part.area) if parts else otherwise
