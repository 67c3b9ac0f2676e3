"""Health of the server → sentences and tables of the Models & Health page; pure."""

from mambaad_demo.hub.card_metrics import COLUMNS
from mambaad_demo.pipeline.checkpoint_health import CheckpointHealth
from mambaad_demo.pipeline.health import Health
from mambaad_demo.ui import words
from mambaad_demo.ui.templates import render
from mambaad_demo.workflow.service import ServiceFacts

NO_CARD = "There is no model card."

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_STATES = {
    "ready": ("accept", "Ready"),
    "closing": ("check", "Closing down: nothing new is begun"),
    "failed": ("reject", "A self-test failed"),
}
_KINDS = {
    "uploads": "photos as visitors sent them",
    "store": "batches, labels, limits and their pictures",
    "batches at work": "photos of batches that are not done",
    "trainings": "fine-tuning jobs with their photos and states",
    "versions": "checkpoints that were fine-tuned here",
    "rehearsals": "features that fine-tuning rehearses with",
    "checkpoints": "those that came with the program",
    "downloaded weights": "cache of the Hub's library",
}


def state_html(health: Health, facts: ServiceFacts) -> str:
    """Whether all is well, in one line."""
    tone, title = _STATES[facts.state]
    if facts.state == "ready" and not health.is_healthy:
        tone, title = _STATES["failed"]
        title = title if health.checkpoints else "There are no checkpoints"
    return render(
        "health_state.html",
        tone=tone,
        title=title,
        version=health.version,
        device=health.device,
        kernel=health.kernel,
        uptime=duration(facts.uptime_seconds),
    )


def service_html(facts: ServiceFacts) -> str:
    """Queue, disk and retention."""
    return render(
        "health_service.html",
        queue=facts.queue,
        disk=[
            {"kind": kind, "meaning": _KINDS.get(kind, ""), "size": size_text(size)}
            for kind, size in facts.disk.used.items()
        ],
        free=None if facts.disk.free is None else size_text(facts.disk.free),
        uploads=duration(60 * facts.retention.uploads_minutes),
        stored_work=(
            None
            if facts.retention.stored_work_minutes is None
            else duration(60 * facts.retention.stored_work_minutes)
        ),
    )


def machine_html(health: Health) -> str:
    """Device, kernels and packages."""
    return render(
        "health_machine.html",
        health=health,
        kernels=[
            {
                "of": "Selective scan (MambaAD, Pyramid-Mamba)",
                "runs": health.kernel,
                "can": health.kernels,
                "missing": health.kernels_missing,
            },
            {
                "of": "Mamba-3 scan (MambaADv2)",
                "runs": health.mamba3.kernel,
                "can": health.mamba3.kernels,
                "missing": health.mamba3.missing,
            },
        ],
    )


def checkpoints_html(health: Health) -> str:
    """A section for each checkpoint."""
    return render("health_checkpoints.html", checkpoints=[_row(health, one) for one in health.checkpoints])


def testing_html(done: int, total: int) -> str:
    """How far a self-test is."""
    return render("health_told.html", problem="", text=f"Self-test: {done} of {total} checkpoints.")


def tested_html(health: Health) -> str:
    """How a self-test ended."""
    failed = [one.name for one in health.checkpoints if one.passed is False]
    if failed:
        return render("health_told.html", problem=f"The self-test failed: {', '.join(failed)}.", text="")
    count = sum(one.passed is True for one in health.checkpoints)
    many = "checkpoint" if count == 1 else "checkpoints"
    return render("health_told.html", problem="", text=f"{count} {many} passed the self-test.")


def _row(health: Health, one: CheckpointHealth) -> dict[str, object]:
    tone, title = _verdict(one)
    return {
        "name": one.name,
        "kind": _kind(one),
        "tone": tone,
        "title": title,
        "facts": [
            ("decoder", words.decoder_name(one.decoder) if one.decoder else None),
            ("encoder", one.encoder),
            ("self-test", _self_test(one)),
            ("memory", f"{one.weights_mb:g} MB of weights" if one.loaded else "not loaded yet"),
            ("licence", one.license),
            ("figures", one.source_of_numbers or ("see its model card" if one.error is None else None)),
            ("reported by the authors, not measured here", _quoted(one)),
            ("revision", one.revision or _without_revision(health, one)),
        ],
        "sha256": one.sha256,
        "notes": words.origin(one.decoder or ""),
        "categories": [words.spoken(name) for name in one.categories],
        "uncalibrated": [words.spoken(name) for name in one.categories if name not in one.calibrated],
        "calibrated": len(one.calibrated),
        "error": one.error,
    }


def _verdict(one: CheckpointHealth) -> tuple[str, str]:
    if one.passed is None:
        return "check", "Not tested yet"
    return ("accept", "Passed") if one.passed else ("reject", "Failed")


def _self_test(one: CheckpointHealth) -> str:
    if one.largest_difference is None or one.tolerance is None:
        return "runs when it is loaded" if one.passed is None else "could not be run"
    return f"largest difference {one.largest_difference:.2g}, {one.tolerance:g} allowed"


def _quoted(one: CheckpointHealth) -> str | None:
    if one.quoted is None:
        return None
    told = ", ".join(f"{title} {one.quoted[name]}" for name, title in COLUMNS.items() if name in one.quoted)
    return f"in per cent: {told}. Source: {one.quoted['source']}"


def _without_revision(health: Health, one: CheckpointHealth) -> str:
    return "made on this machine" if one.own else f"part of this program, {health.version}"


def size_text(size: int) -> str:
    """Bytes in three digits: 1_234_567 → `1.2 MB`."""
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {word}" if size < 1000 * unit else f"{size / unit:.0f} {word}"
    return f"{size} B"


def duration(seconds: int) -> str:
    """Seconds in the two largest units: 90_061 → `1 d 1 h`."""
    parts = []
    for unit, word in _UNITS:
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count} {word}")
    return " ".join(parts[:2]) or "less than a minute"


def _kind(one: CheckpointHealth) -> str:
    if one.own:
        return "fine-tuned here"
    return "embedded" if one.revision is None else "from the Hub"
