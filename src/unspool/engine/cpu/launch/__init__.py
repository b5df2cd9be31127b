"""Call compiled loops: pack weights, record and replay commands, connect them to autograd."""
