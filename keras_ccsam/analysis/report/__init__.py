"""One HTML page of tables and drawings that needs nothing beside itself.

It knows nothing of runs: `keras_ccsam.reporting` fills it. Everything here needs Jinja2, the extra
`report`, and is imported only where a page is made.
"""
