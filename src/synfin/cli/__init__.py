"""The commands: `synfin demo`, `synfin tun` and those to come."""
