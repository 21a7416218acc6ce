"""The socket calls of a script, over `synfin.host.calls`."""
