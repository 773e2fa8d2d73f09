#!/bin/bash
#
# test.sh - runs the tests of the Java shop, on a server of its own.
#
# It applies the migrations by psql, in the order of their versions, as Flyway would.
# It compiles the shop and its tests by javac, and runs them by JUnit.  What it needs
# and promises is in test/server.sh.  The JDBC driver knows no unix sockets, so the
# server listens on a free port of 127.0.0.1.  The last line is
#
#	N passed, N failed

set -euo pipefail

# shellcheck source=test/server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../test/server.sh"
# shellcheck source=test/tally.sh
. "$PGB_REPO/test/tally.sh"

export PGB_TIMEOUT=${PGB_TIMEOUT:-300}

readonly PACKAGES=(libpostgresql-jdbc-java libeclipselink-java libhikaricp-java
	libslf4j-java junit4)
readonly JARS=(postgresql eclipselink eclipselink-jpa-2.1-spec
	org.eclipse.persistence.jpa.jpql HikariCP slf4j-api slf4j-nop junit4 hamcrest)

# Print the class path.
class_path()
{
	printf '%s' "$PGB_DIR/classes"
	printf ':/usr/share/java/%s.jar' "${JARS[@]}"
}

# Compile the shop and its tests.
# (-UsePerfData: leave no folder in /tmp.)
compile()
{
	local log="$PGB_DIR/javac.log"

	pgb_say "javac"
	pgb_as mkdir "$PGB_DIR/classes"
	pgb_as cp -R src/META-INF "$PGB_DIR/classes"
	pgb_run javac -J-XX:-UsePerfData -Xlint:all,-path -Werror \
		-d "$PGB_DIR/classes" -cp "$(class_path)" \
		src/shop/*.java test/shop/*.java >"$log" 2>&1 ||
		pgb_step_failed "the shop does not compile" "$log"
}

# Run the tests, and count them.
run_tests()
{
	local log="$PGB_DIR/test.log" status=0 start=$SECONDS total failed

	pgb_say "JUnit"
	pgb_run java -XX:-UsePerfData -cp "$(class_path)" org.junit.runner.JUnitCore shop.ShopTest \
		>"$log" 2>&1 || status=$?
	read -r total failed < <(sed -nE -e 's/^OK \(([0-9]+) tests?\)$/\1 0/p' \
		-e 's/^Tests run: ([0-9]+),  Failures: ([0-9]+)$/\1 \2/p' "$log") || true
	add_runner JUnit "$status" "$((${total:-0} - ${failed:-0}))" "$failed" \
		"$((SECONDS - start))" "$log"
}

main()
{
	local packages=("${PACKAGES[@]}") port file

	command -v javac >/dev/null || packages+=(default-jdk-headless)
	pgb_prepare "${packages[@]}"
	port=$(pgb_free_port)
	pgb_start "listen_addresses = '127.0.0.1'" "port = $port"
	export PGPORT="$port" PGDATABASE=shop
	export SHOP_URL="jdbc:postgresql://127.0.0.1:$port/shop?user=postgres"

	pgb_as createdb shop
	cd "$PGB_SRC/examples/java-shop"
	for file in db/migration/V*.sql; do
		pgb_psql -f "$file" >/dev/null
	done
	compile
	run_tests
	FINISHED=1
	[ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

main "$@"
