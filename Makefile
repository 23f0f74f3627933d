# Thin over make.py, which Windows users call directly: python make.py help
# Another Python: make book PYTHON=python3.12
# Another port:   make book PORT=9000
# Less of it:     make bench QUICK=1
# Sweep anew:     make sweep ANEW=1
# Some notebooks: make execute NOTEBOOKS=chapters/cycles/1_phenomenon.ipynb
# Links of others: make links OUTSIDE=1
# Homework:       make homework TOPIC=cycles COURSE=~/course, then make mark COURSE=~/course
PYTHON ?= python3

help:
	@$(PYTHON) make.py help

book:
	@$(PYTHON) make.py book $(if $(PORT),--port $(PORT))

lab:
	@$(PYTHON) make.py lab $(if $(PORT),--port $(PORT))

bench:
	@$(PYTHON) make.py bench $(if $(QUICK),--quick)

sweep:
	@$(PYTHON) make.py sweep $(if $(ANEW),--anew)

execute:
	@$(PYTHON) make.py execute $(NOTEBOOKS)

homework:
	@$(PYTHON) make.py homework $(if $(TOPIC),--topic $(TOPIC)) $(if $(COURSE),--course "$(COURSE)") \
	$(if $(STUDENTS),--students "$(STUDENTS)") $(if $(EXERCISES),--exercises $(EXERCISES)) \
	$(if $(NAME),--name $(NAME)) $(if $(SEED),--seed $(SEED))

mark:
	@$(PYTHON) make.py mark $(if $(COURSE),--course "$(COURSE)") $(if $(NAME),--name $(NAME))

colab oldest newest:
	@$(PYTHON) make.py $@ $(NOTEBOOKS)

links:
	@$(PYTHON) make.py links $(if $(OUTSIDE),--outside)

build slides pdf epub licences lighthouse test test-all dist clean setup lock:
	@$(PYTHON) make.py $@

.PHONY: help book lab build slides pdf epub licences links lighthouse test test-all colab oldest newest dist bench sweep homework mark execute clean setup lock
