"""`callcenter recordings verify|export -c FILE`: are the files what the records say, and one of them in clear."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callcenter.cli.common import parser, settings_or_exit

if TYPE_CHECKING:
    from callcenter.recordings import RecordingArchive


def main(arguments: list[str]) -> int:
    options_parser = parser("recordings", "verify the archive, or export one recording in clear")
    options_parser.add_argument("action", choices=["verify", "export"])
    options_parser.add_argument("id", nargs="?", help="export: which recording")
    options_parser.add_argument("--out", help="export: the WAV file to write")
    options_parser.add_argument(
        "--deep", action="store_true", help="verify: open every piece with its key, beside digest and size"
    )
    options_parser.add_argument("--json", action="store_true", help="verify: machine-readable")
    options = options_parser.parse_args(arguments)
    if options.action == "export" and not (options.id and options.out):
        options_parser.error("export: expected a recording and --out FILE")
    settings = settings_or_exit(options.config)
    from callcenter.journal.store import connect
    from callcenter.kernel.envelope import MasterKey
    from callcenter.recordings import RecordingArchive
    from crm_core.db import migrate, open_engine

    engine = open_engine(settings.database.url)
    migrate(engine)
    master = MasterKey.load(settings.paths.var / "keys" / "master.key")
    archive = RecordingArchive(engine, lambda: connect(settings.journal.url), master)
    if options.action == "export":
        return _export(archive, options.id, Path(options.out))
    return _verify(archive, settings.paths.var / "recordings", options.deep, options.json)


def _export(archive: RecordingArchive, recording: str, target: Path) -> int:
    from callcenter.kernel.errors import NotAllowed

    unfinished = target.with_name(target.name + ".part")
    try:
        opened = archive.open(recording)
        with unfinished.open("wb") as file:
            for start in range(0, opened.size, 1 << 20):
                file.write(opened.read(start, 1 << 20))
        unfinished.replace(target)
    except NotAllowed as error:
        sys.stderr.write(f"{recording}: {error.code}\n")
        return 1
    except ValueError:
        sys.stderr.write(f"{recording}: recording_damaged\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{target}: {error.strerror}\n")
        return 1
    finally:
        unfinished.unlink(missing_ok=True)
    return 0


def _verify(archive: RecordingArchive, folder: Path, deep: bool, as_json: bool) -> int:
    """0 where all are sound (an erased person's are as they should be), 1 where any is not."""
    from rich.progress import track

    counts: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    checked = archive.verify(deep)
    for row, fault in checked if as_json else track(checked, "recordings", total=archive.count()):
        counts[fault or "sound"] += 1
        if fault:
            faults.append(
                {"id": row["id"], "interaction": row["interaction_id"], "file": row["file"], "fault": fault}
            )
    strays = [str(path) for path in archive.strays(folder)]
    if as_json:
        json.dump({"counts": dict(counts), "faults": faults, "strays": strays}, sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        for one in faults:
            sys.stdout.write(f"{one['fault']}\t{one['id']}\t{one['file']}\n")
        for path in strays:
            sys.stdout.write(f"stray\t-\t{path}\n")
        summary = ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or "none"
        sys.stdout.write(f"recordings: {summary}; files without a record: {len(strays)}\n")
    return 1 if any(one["fault"] != "erased" for one in faults) else 0
