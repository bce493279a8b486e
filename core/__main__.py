"""`python -m relume` is the `relume` command."""

from relume.hosts.cli import main

raise SystemExit(main())
