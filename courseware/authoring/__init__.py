"""From solutions/ to what students get: notebooks, archive, pages."""
