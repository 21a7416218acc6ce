"""What widely read texts say of TCP, what the RFCs say, and what Linux does (F2): each line a claim that runs."""
