"""One picture of a soak: memory and file descriptors of each host process, and how long each message waited."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(kept: Mapping[str, Any], path: Path) -> None:
    """Write a PNG of less than 200 kB. ``kept`` is what a soak leaves in ``soak.json``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (memory, files, delay) = plt.subplots(3, 1, figsize=(10, 9), sharex=True, height_ratios=(2, 2, 3))
    colours = dict(zip(dict.fromkeys(one["host"] for one in kept["samples"]), ("tab:orange", "tab:blue"), strict=True))
    for host, colour in colours.items():
        pids = dict.fromkeys(one["pid"] for one in kept["samples"] if one["host"] == host)
        for number, pid in enumerate(pids):
            mine = [one for one in kept["samples"] if one["pid"] == pid and one["host"] == host]
            at = [one["at"] / 60 for one in mine]
            label = {} if number else {"label": f"host, {host}"}
            memory.plot(at, [one["rss_mb"] for one in mine], color=colour, linewidth=1, **label)
            files.plot(at, [one["files"] for one in mine], color=colour, linewidth=1, **label)
    for kind, delays in kept["delays"].items():
        delay.plot([at / 60 for at, _ in delays], [max(0.1, one) for _, one in delays], ".", markersize=2, label=kind)
    for axis in (memory, files, delay):
        for at, what in kept["struck"]:
            axis.axvline(at / 60, color="tab:red" if what == "kills" else "tab:purple", linewidth=0.4, alpha=0.5)
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=5, frameon=False)
    memory.set_ylabel("resident memory, MB")
    memory.set_ylim(bottom=0)
    files.set_ylabel("open file descriptors")
    files.set_ylim(bottom=0)
    delay.set_ylabel("arrival to ticket, s")
    delay.set_yscale("log")
    delay.set_xlabel("minutes (red: a host is killed; purple: a host is paused beyond its leases)")
    figure.suptitle(f"Soak of {kept['minutes']:g} minutes, seed {kept['seed']}")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
