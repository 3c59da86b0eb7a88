"""Every limit of an ingest in one place. The values were measured: docs/decisions and the notes beside each."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload, one tenant, one file and one rendering process may use.

    file_bytes, request_bytes: counted while they stream in. stored_bytes: of all files of a tenant, each once; None
        for no limit.
    pages: of one file, known before anything is rendered. pages_per_render: of one rendering process; with it memory
        follows the run, not the file.
    count_cpu_s: processor time to count pages. render_cpu_s: processor time of one tool that renders (the slowest
        real page needs 0.2 s). wall_s: clock time of one tool; the process around it gets twice that.
    tool_bytes: address space of a tool that renders (real files stay under 50 MiB). picture_bytes: address space of
        the process that decodes and scales pictures (120 million pixels with alpha fit).
    output_bytes: largest file a rendering process may write. stderr_bytes: kept of a tool's error output, then its
        pipe is closed, which ends it.
    killed_pages: pages of one file that may run into a limit before the rest of the file is given up.
    pixels: of an uploaded picture, from its header. frames_pixels: of all frames of a TIFF together.
    long_side: of a stored picture. min_side, max_ratio: narrower pages and pictures have nothing to see.
    webp_quality: of the stored picture, which is also what is read: at 85 one token vector in eighty was lost, at 95
        one in a hundred and twenty, for a quarter more space.
    text_chars: read of a page's own text. text_cpu_s: processor time to read the texts of a run (a real page needs
        0.002 s); what is not read by then is left out.
    """

    file_bytes: int = 64 * MIB
    request_bytes: int = 256 * MIB
    stored_bytes: int | None = None
    pages: int = 2000
    pages_per_render: int = 20
    count_cpu_s: int = 10
    render_cpu_s: int = 20
    wall_s: float = 60.0
    tool_bytes: int = 1 * GIB
    picture_bytes: int = 2 * GIB
    output_bytes: int = 256 * MIB
    stderr_bytes: int = 64 * KIB
    killed_pages: int = 20
    pixels: int = 120_000_000
    frames_pixels: int = 2_000_000_000
    long_side: int = 2048
    min_side: int = 16
    max_ratio: float = 50.0
    webp_quality: int = 95
    text_chars: int = 16 * KIB
    text_cpu_s: int = 2
