"""What a script does besides calls and packets: commands in backticks, and code over TCP_INFO."""
