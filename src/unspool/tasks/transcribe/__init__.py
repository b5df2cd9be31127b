"""The task `transcribe`: speech to text, by connectionist temporal classification (CTC)."""
