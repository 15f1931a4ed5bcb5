"""The authors' own loops, as recorded round by round, beside our federation on their batches."""
