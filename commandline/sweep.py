"""`sweep`: what the deployed sweep does each hour, now, and with a table to look at."""

from __future__ import annotations

import argparse
import sys

from commandline.shared import reach_by


def sweep(options: argparse.Namespace) -> int:
    from chalicelib.core.sweep import table
    from chalicelib.operations.sweep import sweep as run_sweep

    services, _ = reach_by(options)
    report = run_sweep(services, dry_run=options.dry_run, lost=options.lost)
    for line in table(report.verdicts, dry_run=options.dry_run):
        print(line)
    for told in report.mended:
        print(f"{'would mend' if options.dry_run else 'mended'}: {told}")
    for problem in report.problems:
        print(f"error: {problem}", file=sys.stderr)
    if not report.verdicts and not report.mended:
        print(f"Nothing is left over in the deployment {services.settings.bucket}.")
    return 1 if report.problems else 0
