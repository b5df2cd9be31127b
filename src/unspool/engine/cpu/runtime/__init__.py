"""What runs beside compiled loops: threads, memory, batch layouts, products of whole matrices, prologues."""
