"""gate-roster, for operators: who is enrolled, and signed releases of it. Pictures are turned into templates here and never kept.

Start at `cli`. An authority is one folder: authority.toml (areas, access levels, validity), register.db (people), keys/, site.key and
repository/ (the signed releases, which `export` copies to where gates look).
"""
