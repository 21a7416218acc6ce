"""The documentation as a site, in English and Chinese: ``python -m docs.site DIRECTORY``."""
