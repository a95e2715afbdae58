"""The HTTP API as data: what may be asked, what is answered, and the document that says so."""
