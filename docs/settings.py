"""Writes docs/settings.md from the settings' own descriptions: `python docs/settings.py`."""

from pathlib import Path

from likeness.ground.settings import Settings


def page() -> str:
    lines = [
        "# Settings",
        "",
        "Read from the environment.",
        "",
        "| variable | default | what it does |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = (
            "`~/.local/share/likeness`, under root `/var/lib/likeness`" if name == "home" else f"`{field.default}`"
        )
        shown = "" if field.default in ("", None) else default
        lines.append(
            f"| `LIKENESS_{name.upper()}` | {shown} | {(field.description or '').replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page())
