# pg_booking: sells each place exactly once.
#
#   make, make install, make installcheck    as with every PGXS extension;
#                     PG_CONFIG=... chooses the PostgreSQL, WERROR=1 makes
#                     warnings errors
#   make demo         an application oversells, and one statement ends it, on a server
#                     of its own
#   make example-django
#                     a Django shop oversells over HTTP, and with the constraint not
#   make example-cluster
#                     four shards sell, while a server is killed and a shard moves to
#                     another server (as root)
#   make test         the whole test suite, on servers of its own
#   make matrix       the same on PostgreSQL 15, 17 and 18, and pg_upgrade (as root)
#   make examples     the tests of the Django package, of applications on Django, Node,
#                     Rails and Java, of the live page and the cluster
#   make packages     builds the Debian packages and the archive for PGXN, installs them
#                     in bare systems, and sells tickets there (as root, 7 min)
#   make faults       the promises under faults, on servers of their own (as root,
#                     under 40 minutes; QUICK=1: under 4)
#   make coverage     which lines and errors of the source the test suite reaches
#   make mutants      does the test suite notice wrong code? (half an hour;
#                     MUTANTS=...: only these; QUICK=1: only the tests that they name)
#   make analyse      static analysis by clang-tidy and scan-build
#   make sanitize     the test suite under AddressSanitizer and
#                     UndefinedBehaviorSanitizer
#   make asserts      the test suite on a PostgreSQL with assertions, then the
#                     regression tests with its caches discarded at every
#                     opportunity (hours; WITHOUT_DISCARD=1: only the suite, minutes)
#   make valgrind     the test suite with the server under valgrind (an hour)
#   make sqlsmith     ten minutes (DURATION=600) of random statements
#   make bench        the benchmark, on a server of its own (50 minutes; QUICK=1: minutes)
#   make dist         the archive for PGXN, pg_booking-1.0.0.zip, from the last commit
#   make format       formats the C source; make check-format only checks it
#   make lint         static analysis by cppcheck and shellcheck, and checks of the
#                     words, links and layers (test/lint)
#
# make demo and all below it need no PostgreSQL: they install what is missing.
# CONTRIBUTING.md and test/README.md say more.

EXTENSION = pg_booking

# The install script is put together from the folders' SQL, in this order.
DATA_built = pg_booking--1.0.sql
SQL_PARTS = \
	src/head.sql \
	src/constraint/constraint.sql \
	src/tables/shard.sql \
	src/tables/schema.sql \
	src/tables/create_tables.sql \
	src/tables/maintenance.sql \
	src/event/event.sql \
	src/ticket/ticket.sql \
	src/ticket/cancel_event.sql \
	src/hold/hold.sql \
	src/history/history.sql \
	src/history/forget_user.sql \
	src/lock/lock.sql \
	src/router/router.sql \
	src/privileges.sql

MODULE_big = pg_booking
OBJS := $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The order matters: later tests may build upon what earlier ones have shown.
REGRESS = \
	setup \
	tables \
	tickets \
	errors \
	diagnostics \
	plain_sql \
	direct_path \
	partitioned \
	acl \
	visibility \
	stripes \
	holds \
	requests \
	sale_rules \
	staff \
	batch \
	history \
	forget_user \
	user_ids \
	gateway \
	user_collation \
	capacity \
	capacity_plain_sql \
	capacity_errors \
	capacity_types \
	capacity_condition \
	capacity_triggers \
	capacity_user_code \
	capacity_rights \
	capacity_tables \
	capacity_expiry \
	capacity_prepared \
	tampered \
	guard \
	schema \
	shards \
	lock

# These stand alone, so what is in the folders is run.  (":=", for PGXS asks
# whether the variables are empty.)
ISOLATION := $(sort $(patsubst test/isolation/specs/%.spec,%,\
	$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation
PROVE_TESTS := $(sort $(wildcard test/t/*.pl))
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif

# PostgreSQL's own headers leave parameters unused, and so does PG_FUNCTION_ARGS.
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter
# No symbol is visible but those that SQL calls (compat.h); from 16 on PGXS
# says so itself.
PG_CFLAGS += -fvisibility=hidden
PG_CPPFLAGS += -I$(CURDIR)/src
ifdef WERROR
PG_CFLAGS += -Werror
endif
# Points at which a test kills the backend (fault.h); not in any other build.
ifdef FAULT_POINTS
PG_CPPFLAGS += -DBOOKING_FAULT_POINTS
endif

# Left by an interrupted run of the tests, or by an editor's tools.
EXTRA_CLEAN = log tmp_check tmp_check_iso output_iso coverage \
	compile_commands.json

# SANITIZE=1, for test/sanitize.sh: a report of a sanitizer ends the process, and
# so does an integer overflow, which PostgreSQL's own flags allow.
ifdef SANITIZE
COPT += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-wrapv
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
# (Debian's libpq-dev has a pg_config, and its client package has the file that
# --pgxs prints.  Only the headers come with the development package alone.)
PG_INCLUDE := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)

ifneq ($(and $(wildcard $(PGXS)),$(wildcard $(PG_INCLUDE)/postgres.h)),)
include $(PGXS)

ifdef SANITIZE
override CPPFLAGS += -U_FORTIFY_SOURCE
endif

# PostgreSQL builds its packages without dependency tracking.  The headers are
# few: each of them rebuilds all.
$(OBJS) $(OBJS:.o=.bc): Makefile $(wildcard src/*/*.h)

else
PG_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null | \
	sed -E 's/^[^0-9]*([0-9]+).*/\1/')

.PHONY: all install uninstall installcheck check
all install uninstall installcheck check:
ifeq ($(PG_VERSION),)
	@echo "There is no PostgreSQL to build against: $(PG_CONFIG) does not run." >&2
else
	@echo "The development files of the PostgreSQL $(PG_VERSION) server are" \
		"missing: $(PGXS) or $(PG_INCLUDE)/postgres.h." >&2
endif
	@echo "On Debian install postgresql-server-dev-$(or $(PG_VERSION),<version>)," \
		"or run test/setup.sh.  Otherwise say PG_CONFIG=/path/to/pg_config." >&2
	@exit 1

# The files may have been built before, with another PostgreSQL.
.PHONY: clean distclean
clean distclean:
	rm -rf $(OBJS) $(OBJS:.o=.bc) $(MODULE_big).so $(DATA_built) $(EXTRA_CLEAN) \
		results regression.diffs regression.out
endif

pg_booking--1.0.sql: Makefile $(SQL_PARTS)
	cat $(SQL_PARTS) >$@

.PHONY: demo example-django example-cluster test matrix examples packages faults mutants \
	coverage analyse sanitize asserts valgrind sqlsmith bench
demo:
	@test/demo.sh
example-django:
	@examples/django-shop/run.sh
example-cluster:
	@examples/cluster/run.sh
test:
	@test/run.sh
matrix:
	@test/matrix.sh
examples:
	@test/examples.sh $(EXAMPLES)
packages:
	@test/packages/test.sh
faults:
	@test/faults/run.sh
mutants:
	@test/mutants/run.sh $(MUTANTS)
coverage:
	@test/coverage.sh
analyse:
	@test/analyse.sh
sanitize:
	@test/sanitize.sh
asserts:
	@test/asserts.sh
valgrind:
	@test/valgrind.sh
sqlsmith:
	@test/sqlsmith/run.sh
bench:
	@bench/run.sh

# The version is the distribution's, 1.0.0; the extension's is 1.0.
DIST_NAME := pg_booking-$(shell sed -nE 's/^\t"version": "(.*)",$$/\1/p' META.json)
DIST_FOLDER ?= .

# (PGXN reads the install script, which git does not have.)
.PHONY: dist
dist:
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	git show $(SQL_PARTS:%=HEAD:%) >"$$folder/$(DATA_built)" && \
	git archive --format=zip --prefix=$(DIST_NAME)/ --add-file="$$folder/$(DATA_built)" \
		--output=$(DIST_FOLDER)/$(DIST_NAME).zip HEAD

CPPCHECK ?= cppcheck
SHELLCHECK ?= shellcheck
C_FILES := $(sort $(wildcard src/*.c src/*/*.[ch] test/*.c test/faults/*.c))
SHELL_FILES := $(sort $(wildcard test/*.sh test/*/*.sh bench/*.sh bench/*/*.sh \
	clients/*/*.sh examples/*/*.sh) .ci/run)

.PHONY: format check-format lint lint-tools check-lists
format:
	@test/format.sh $(C_FILES)
check-format:
	@test/format.sh --check $(C_FILES)

# cppcheck doesn't read PostgreSQL's headers, so the macros that it can't guess are
# given to it.  (ctuuninitvar takes a struct that is partly filled for one that is
# not filled.)
lint: lint-tools check-lists
	$(CPPCHECK) --quiet --error-exitcode=1 --std=c99 --inline-suppr \
		--enable=warning,style,performance,portability --inconclusive \
		--suppress=ctuuninitvar \
		-D'PG_MODULE_MAGIC=' -D'PG_FUNCTION_INFO_V1(f)=' -D'SQL_FUNCTION(f)=' \
		-D'PGDLLEXPORT=' -D'INT64_FORMAT="%ld"' -D'foreach(cell, list)=for (;cell;)' \
		-DPG_VERSION_NUM=150000 -DUSE_FLOAT8_BYVAL src test/faults
	$(SHELLCHECK) -x $(SHELL_FILES)

# Does what make lint calls exist?
lint-tools:
	@command -v $(CPPCHECK) >/dev/null || { echo "There is no $(CPPCHECK)." \
		"On Debian install the package cppcheck." >&2; exit 1; }
	@command -v $(SHELLCHECK) >/dev/null || { echo "There is no $(SHELLCHECK)." \
		"On Debian install the package shellcheck." >&2; exit 1; }

# Without this check, a file that is missing in a list above would be ignored
# silently.  So would a mutant that no longer fits the source.
check-lists:
	@for f in $(filter-out $(SQL_PARTS),$(wildcard src/*.sql src/*/*.sql)); do \
		echo "$$f is not in SQL_PARTS" >&2; exit 1; done
	@for f in $(filter-out $(REGRESS:%=sql/%.sql),$(wildcard sql/*.sql)); do \
		echo "$$f is not in REGRESS" >&2; exit 1; done
	@test/mutants/apply.pl --check . test/mutants/*.mutant

# Checks of the text of all files (test/lint/run.sh), and of what make says if
# packages are missing.
.PHONY: check-text
lint: check-text
check-text:
	@test/lint/run.sh
	@test/lint/pg_config.sh
