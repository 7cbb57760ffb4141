"""The course of a day as a picture: mean wait and occupancy by half hours, as SVG."""

from __future__ import annotations

from typing import Any

import jinja2

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 860, 360, 64, 48, 44, 64
_TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" font-family="sans-serif" font-size="12"
 role="img" aria-label="Mean wait and occupancy by half hour">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{{ left }}" y="24" fill="#1d4ed8">mean wait, s</text>
<text x="{{ width - right }}" y="24" fill="#b45309" text-anchor="end">occupancy, %</text>
{% for line in grid %}
<line x1="{{ left }}" x2="{{ width - right }}" y1="{{ line.y }}" y2="{{ line.y }}" stroke="#e5e7eb"/>
<text x="{{ left - 8 }}" y="{{ line.y + 4 }}" text-anchor="end" fill="#1d4ed8">{{ line.wait }}</text>
<text x="{{ width - right + 8 }}" y="{{ line.y + 4 }}" fill="#b45309">{{ line.occupancy }}</text>
{% endfor %}
{% for hour in hours %}
<text x="{{ hour.x }}" y="{{ height - 18 }}" text-anchor="middle" fill="#374151">{{ hour.text }}</text>
{% endfor %}
<polyline fill="none" stroke="#b45309" stroke-width="2" stroke-dasharray="6 3" points="{{ occupancy }}"/>
<polyline fill="none" stroke="#1d4ed8" stroke-width="2" points="{{ waits }}"/>
</svg>
"""


def draw(course: list[dict[str, Any]]) -> str:
    """`course` as `figures` has it; an empty one is an empty grid."""
    inner_w, inner_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    highest = _nice(max((slot["wait_s"] for slot in course), default=0.0))
    step = inner_w / max(1, len(course) - 1)

    def points(values: list[float], top: float) -> str:
        return " ".join(
            f"{_LEFT + at * step:.1f},{_TOP + inner_h * (1 - min(1.0, value / top)):.1f}"
            for at, value in enumerate(values)
        )

    marks = max(1, len(course) // 12)
    return (
        jinja2.Environment(autoescape=True)
        .from_string(_TEMPLATE)
        .render(
            width=_WIDTH,
            height=_HEIGHT,
            left=_LEFT,
            right=_RIGHT,
            waits=points([slot["wait_s"] for slot in course], highest),
            occupancy=points([slot["occupancy"] for slot in course], 1.0),
            grid=[
                {"y": _TOP + inner_h * (4 - at) / 4, "wait": f"{highest * at / 4:g}", "occupancy": 25 * at}
                for at in range(5)
            ],
            hours=[
                {"x": _LEFT + at * step, "text": f"{slot['from_h']:g} h"}
                for at, slot in enumerate(course)
                if at % marks == 0
            ],
        )
    )


def _nice(value: float) -> float:
    """The next of 4, 8, 20, 40, 80, 200 ... above."""
    scale = 1.0
    while True:
        for step in (4, 8, 20):
            if value <= step * scale:
                return step * scale
        scale *= 10
