"""Imaging conditions: sun, season, atmosphere, sensor, and satellite position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from siamese.sample.arrays import Bytes, Floats, Points
from siamese.sample.noise import gaussian_levels
from siamese.sample.plan import Event

METRES_PER_PIXEL = 0.46
AMBIENT, DIRECT = 0.4, 0.95
LEVEL = 128
"""Value of a light map for level ground in full sun."""


@dataclass(frozen=True)
class Light:
    """One acquisition.

    Attributes:
        sun_azimuth: Degrees clockwise from north.
        sun_elevation: Degrees.
        off_nadir: Degrees.
        target_azimuth: Direction in which roofs lean, degrees clockwise from north.
        dryness: 0 lush to 1 dry.
        haze: Share of the light added by the atmosphere, 0..0.3.
        warmth: Tint: above 0 warm, below 0 cold.
        gain: Exposure.
        blur_px: Sigma of the point spread.
        noise: Sigma of sensor noise in grey levels.
        shift_px: Misregistration, x and y.
        turn_deg: Misregistration, rotation.
    """

    sun_azimuth: float
    sun_elevation: float
    off_nadir: float
    target_azimuth: float
    dryness: float
    haze: float
    warmth: float
    gain: float
    blur_px: float
    noise: float
    shift_px: tuple[float, float] = (0.0, 0.0)
    turn_deg: float = 0.0

    @property
    def to_sun(self) -> Points:
        """(3,) unit vector to the sun: right, down, up."""
        azimuth, elevation = np.radians([self.sun_azimuth, self.sun_elevation])
        level = np.cos(elevation)
        return np.array([np.sin(azimuth) * level, -np.cos(azimuth) * level, np.sin(elevation)])

    def lean(self, height_m: float) -> Points:
        """Returns the (2,) displacement in pixels of something ``height_m`` high."""
        far = height_m * np.tan(np.radians(self.off_nadir)) / METRES_PER_PIXEL
        azimuth = np.radians(self.target_azimuth)
        return np.array([np.sin(azimuth) * far, -np.cos(azimuth) * far])

    def facing(self, direction: Points, pitch_deg: float) -> float:
        """Returns the brightness of a roof plane relative to level ground in full sun."""
        pitch = np.radians(pitch_deg) if np.any(direction) else 0.0
        normal = np.array([*(direction * np.sin(pitch)), np.cos(pitch)])
        sun = self.to_sun
        straight = max(float(normal @ sun), 0.0)
        return float((AMBIENT + DIRECT * straight) / (AMBIENT + DIRECT * sun[2]))

    @property
    def shade(self) -> float:
        """Brightness of full shadow relative to full sun."""
        return float(AMBIENT * 0.9 / (AMBIENT + DIRECT * self.to_sun[2]))


def before(rng: np.random.Generator) -> Light:
    """Draws the acquisition before the event."""
    return Light(
        sun_azimuth=float(rng.uniform(120, 190)),
        sun_elevation=float(rng.uniform(38, 68)),
        off_nadir=float(rng.uniform(4, 20)),
        target_azimuth=float(rng.uniform(0, 360)),
        dryness=float(rng.beta(1.4, 2)),
        haze=float(rng.uniform(0, 0.08)),
        warmth=float(rng.normal(0, 0.03)),
        gain=float(rng.normal(0.97, 0.06)),
        blur_px=float(rng.uniform(0.5, 0.75)),
        noise=float(rng.uniform(1.0, 2.5)),
    )


def after(rng: np.random.Generator, first: Light, event: Event) -> Light:
    """Draws the acquisition after the event: another day, season, sun, view and atmosphere, and a few pixels off."""
    second = before(rng)
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 4.5)
    haze = rng.uniform(0.02, 0.14) + (rng.uniform(0, 0.1) if event == "fire" else 0)
    return replace(
        second,
        sun_azimuth=float((first.sun_azimuth + rng.choice([-1, 1]) * rng.uniform(12, 60)) % 360),
        off_nadir=float(rng.uniform(8, 26)),
        dryness=float(np.clip(first.dryness + rng.choice([-1, 1]) * rng.uniform(0.1, 0.45), 0, 1)),
        haze=float(haze),
        warmth=float(second.warmth + (0.03 if event == "fire" else 0)),
        gain=float(second.gain * rng.normal(1.02, 0.07)),
        shift_px=(float(np.cos(angle) * far), float(np.sin(angle) * far)),
        turn_deg=float(rng.normal(0, 0.06)),
    )


def cast_shadows(height_m: Floats, light: Light) -> Bytes:
    """Returns where something higher stands between a pixel and the sun.

    Args:
        height_m: (H, W) height above ground in metres.
        light: The acquisition.

    Returns:
        (H, W) uint8, 0 in sun to 255 in full shadow.
    """
    unit = 0.15
    height = cv2.convertScaleAbs(height_m, alpha=1 / unit)
    sun = light.to_sun
    away = -sun[:2] / np.hypot(*sun[:2])
    step_px = 1.6
    drop = step_px * METRES_PER_PIXEL * np.tan(np.radians(light.sun_elevation)) / unit
    ceiling = height.copy()
    moved = np.empty_like(height)
    last, fallen = np.zeros(2, int), 0
    for number in range(1, int(height.max() / drop) + 2):
        now = np.round(away * step_px * number).astype(int)
        fall = round(drop * number) - fallen
        (dx, dy), last, fallen = now - last, now, fallen + fall
        _shift_into(ceiling, moved, int(dx), int(dy))
        cv2.subtract(moved, np.array([float(fall)]), dst=moved)
        cv2.max(moved, height, dst=ceiling)
    above = cv2.subtract(ceiling, height)
    # Full shadow from 1.5 m of overlap; softer below that.
    return cv2.convertScaleAbs(above, alpha=255 / (1.5 / unit), beta=-40)


def _shift_into(source: Bytes, target: Bytes, dx: int, dy: int) -> None:
    rows, columns = source.shape
    target[:] = 0
    target[max(dy, 0) : rows + min(dy, 0), max(dx, 0) : columns + min(dx, 0)] = source[
        max(-dy, 0) : rows - max(dy, 0), max(-dx, 0) : columns - max(dx, 0)
    ]


def illuminate(albedo: Bytes, lit: Bytes, light: Light) -> Bytes:
    """Applies light and atmosphere.

    Args:
        albedo: (H, W, 3) RGB in level light.
        lit: (H, W) light map; LEVEL is full sun on level ground. Shadows are bluer.
        light: The acquisition.
    """
    amount = np.arange(256) / LEVEL
    blue = np.clip(1 - amount, 0, 1)[:, None] * np.array([-0.05, 0.0, 0.09])
    table = np.clip((amount[:, None] + blue) * 128, 0, 255).astype(np.uint8)
    shade = cv2.merge([cv2.LUT(lit, table[:, channel]) for channel in range(3)])
    seen = cv2.multiply(albedo, shade, scale=1 / 128)
    tint = np.array([1 + light.warmth, 1.0, 1 - light.warmth]) * light.gain * (1 - light.haze)
    air = np.array([168, 178, 186]) * light.haze
    curve = np.clip(np.arange(256)[:, None] * tint + air, 0, 255).astype(np.uint8)[None]
    return cv2.LUT(seen, curve)


def sense(image: Bytes, light: Light, rng: np.random.Generator) -> Bytes:
    """Simulates the sensor: misregistration, blur, noise."""
    if light.turn_deg or any(light.shift_px):
        rows, columns = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), light.turn_deg, 1.0)
        matrix[:, 2] += np.array(light.shift_px)
        image = cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    image = cv2.GaussianBlur(image, (0, 0), light.blur_px)
    grey = gaussian_levels(rng, image.shape[:2], light.noise)
    return cv2.add(image, cv2.merge([grey, grey, grey]), dtype=cv2.CV_8U)
