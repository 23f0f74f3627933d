# Thin over make.py, which Windows users call directly: python make.py help
# Another Python: make book PYTHON=python3.12
# Another port:   make book PORT=9000
# Less of it:     make bench QUICK=1
# Sweep anew:     make sweep ANEW=1
# Some notebooks: make execute NOTEBOOKS=chapters/cycles/1_phenomenon.ipynb
PYTHON ?= python3

help:
	@$(PYTHON) make.py help

book:
	@$(PYTHON) make.py book $(if $(PORT),--port $(PORT))

bench:
	@$(PYTHON) make.py bench $(if $(QUICK),--quick)

sweep:
	@$(PYTHON) make.py sweep $(if $(ANEW),--anew)

execute:
	@$(PYTHON) make.py execute $(NOTEBOOKS)

build test test-all clean setup lock:
	@$(PYTHON) make.py $@

.PHONY: help book build test test-all bench sweep execute clean setup lock
