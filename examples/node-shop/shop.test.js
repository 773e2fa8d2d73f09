// test.sh starts the server that these tests need, and runs the migrations. PGHOST and so on say
// where it is, as DATABASE_URL does for drizzle-kit.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir } from "node:fs/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";

import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";

import { DrizzleShop } from "./drizzle-shop.js";
import { PgShop } from "./pg-shop.js";
import { show as shows } from "./schema.js";
import { isSoldOut } from "./sold-out.js";
import { createShopServer } from "./server.js";

const CONSTRAINT = "shop_ticket_show_id_capacity";
const INSERT = "INSERT INTO shop_ticket (show_id, user_id) VALUES ($1, $2)";

let pool;
let show; // a new show for each test, with 50 places

before(() => {
  pool = new pg.Pool({ max: 20 });
});
after(() => pool.end());
beforeEach(async () => {
  show = await createShow(50);
});

async function createShow(capacity) {
  const { rows } = await pool.query(
    "INSERT INTO shop_show (title, capacity) VALUES ('Concert', $1) RETURNING id",
    [capacity],
  );
  return Number(rows[0].id);
}

async function sold(showId) {
  const { rows } = await pool.query(
    "SELECT count(*)::int FROM shop_ticket WHERE show_id = $1 AND status <> 'cancelled'",
    [showId],
  );
  return rows[0].count;
}

async function verify() {
  const { rows } = await pool.query("SELECT * FROM booking.verify_capacity()");
  assert.deepEqual(rows, []);
}

// Starts the shop on a free port, and stops it after the work.
async function withShop(shopPool, work) {
  const server = createShopServer(shopPool);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await work(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function post(url, userId) {
  const response = await fetch(url, {
    method: "POST",
    body: JSON.stringify({ userId }),
  });
  return { status: response.status, body: await response.json() };
}

// Starts the work, and holds back its inserts until so many of them wait. Then calls next.
async function whileInsertsWait(inserts, work, next = () => {}) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN; LOCK TABLE shop_ticket IN SHARE MODE");
    const result = work();
    for (let waiting = 0; waiting < inserts;) {
      const { rows } = await client.query(
        `SELECT count(*)::int FROM pg_locks
         WHERE relation = 'shop_ticket'::regclass AND NOT granted`,
      );
      waiting = rows[0].count;
      await setTimeout(10);
    }
    await next();
    await client.query("COMMIT");
    return await result;
  } finally {
    client.release(true);
  }
}

// Sends all requests at once, and counts the answers by status.
async function stampede(bases, path, requests) {
  const answers = await Promise.all(
    Array.from({ length: requests }, (_, i) =>
      post(`${bases[i % bases.length]}/${path}`, i + 1),
    ),
  );
  const counts = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

// Starts two processes of the shop, and stops them after the work.
async function withProcesses(work) {
  const env = { ...process.env, PORT: "0", PGAPPNAME: "shop" };
  const processes = [1, 2].map(() =>
    spawn(process.execPath, ["server.js"], { env }),
  );
  try {
    const bases = processes.map(async (child) => {
      const [line] = await once(child.stdout, "data");
      return String(line).trim();
    });
    return await work(await Promise.all(bases));
  } finally {
    for (const child of processes) {
      const ended = child.exitCode ?? once(child, "exit");
      child.kill();
      await ended;
    }
  }
}

describe("a stampede: 400 requests for 50 places", () => {
  for (const client of ["pg", "drizzle"]) {
    test(`by ${client}`, async () => {
      const counts = await withProcesses((bases) =>
        stampede(bases, `${client}/shows/${show}/tickets`, 400),
      );
      assert.deepEqual(counts, { 201: 50, 409: 350 });
      assert.equal(await sold(show), 50);
      await verify();
    });
  }

  test("by pg, with a pool that resets sessions", async () => {
    const resetting = new pg.Pool({ max: 20 });
    const resets = [];
    resetting.on("release", (_, connection) =>
      resets.push(connection.query("DISCARD ALL")),
    );
    try {
      const counts = await withShop(resetting, (base) =>
        stampede([base], `pg/shows/${show}/tickets`, 400),
      );
      assert.deepEqual(counts, { 201: 50, 409: 350 });
      assert.ok((await Promise.all(resets)).length >= 400);
      assert.equal(await sold(show), 50);
      await verify();
    } finally {
      await resetting.end();
    }
  });
});

describe("19 requests that count before one of them inserts, for 1 place", () => {
  // Lets the requests count, and insert only when all of them have.
  async function race(client) {
    const last = await createShow(1);
    return await withShop(pool, async (base) => {
      const path = `${client}/shows/${last}/tickets`;
      return await whileInsertsWait(19, () => stampede([base], path, 19));
    });
  }

  for (const client of ["pg", "drizzle"]) {
    test(`by ${client}: one is sold`, async () => {
      assert.deepEqual(await race(client), { 201: 1, 409: 18 });
      await verify();
    });

    test(`by ${client}, without the constraint: all are sold`, async () => {
      await pool.query("SELECT booking.drop_capacity_constraint($1)", [
        CONSTRAINT,
      ]);
      try {
        assert.deepEqual(await race(client), { 201: 19 });
      } finally {
        await pool.query("DELETE FROM shop_ticket");
        await pool.query(await readFile("drizzle/0001_capacity.sql", "utf8"));
      }
    });
  }
});

describe("the answers", () => {
  for (const client of ["pg", "drizzle"]) {
    test(`by ${client}: sold, sold out, and sold again after a cancellation`, async () => {
      const small = await createShow(1);
      await withShop(pool, async (base) => {
        const url = `${base}/${client}/shows/${small}/tickets`;
        const first = await post(url, 1);
        assert.equal(first.status, 201);
        assert.deepEqual(await post(url, 2), {
          status: 409,
          body: { error: "sold out" },
        });
        await pool.query(
          "UPDATE shop_ticket SET status = 'cancelled' WHERE id = $1",
          [first.body.id],
        );
        assert.equal((await post(url, 2)).status, 201);
        const nowhere = await post(
          `${base}/${client}/shows/999999999/tickets`,
          2,
        );
        assert.equal(nowhere.status, 404);
      });
    });

    test(`by ${client}: to numbers that are none`, async () => {
      await withShop(pool, async (base) => {
        for (const userId of ["x", "1", 1.5, 1e30, null, undefined, {}]) {
          const url = `${base}/${client}/shows/${show}/tickets`;
          assert.equal((await post(url, userId)).status, 400);
        }
        for (const id of ["x", "-1", "9".repeat(30)]) {
          const url = `${base}/${client}/shows/${id}/tickets`;
          assert.equal((await post(url, 1)).status, 404);
        }
      });
    });
  }
});

describe("a connection that is lost", () => {
  const BACKENDS =
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'shop'";

  // Ends the connections of the shop, and waits until the server has none of them.
  async function terminate() {
    const { rowCount } = await pool.query(
      `SELECT pg_terminate_backend(pid) ${BACKENDS}`,
    );
    while ((await pool.query(`SELECT ${BACKENDS}`)).rowCount > 0)
      await setTimeout(10);
    return rowCount;
  }

  for (const client of ["pg", "drizzle"]) {
    const path = () => `${client}/shows/${show}/tickets`;

    test(`while it is idle: ${client}`, async () => {
      await withProcesses(async (bases) => {
        assert.deepEqual(await stampede(bases, path(), 4), { 201: 4 });
        assert.ok((await terminate()) >= 2);
        assert.deepEqual(await stampede(bases, path(), 4), { 201: 4 });
      });
    });

    test(`while it is used: ${client}`, async () => {
      await withProcesses(async (bases) => {
        const work = () => stampede(bases, path(), 4);
        const counts = await whileInsertsWait(4, work, terminate);
        assert.deepEqual(counts, { 500: 4 });
        assert.deepEqual(await stampede(bases, path(), 4), { 201: 4 });
      });
    });
  }
});

describe("the error", () => {
  test("of node-postgres has the constraint's name", async () => {
    const small = await createShow(0);
    await assert.rejects(pool.query(INSERT, [small, 1]), (error) => {
      assert.equal(error.code, "23514");
      assert.equal(error.constraint, CONSTRAINT);
      assert.equal(error.table, "shop_ticket");
      assert.ok(isSoldOut(error));
      return true;
    });
  });

  test('of a show that does not exist is the foreign key\'s, and not "sold out"', async () => {
    await assert.rejects(pool.query(INSERT, [999999999, 1]), (error) => {
      assert.equal(error.code, "23503");
      assert.equal(error.constraint, "shop_ticket_show_id_shop_show_id_fk");
      assert.ok(!isSoldOut(error));
      return true;
    });
  });

  for (const Shop of [PgShop, DrizzleShop]) {
    test(`leaves the connection open: ${Shop.name}`, async () => {
      const two = new pg.Pool({ max: 2 });
      let connections = 0;
      two.on("connect", () => connections++);
      try {
        const shop = new Shop(two);
        const last = await createShow(1);
        const sellTwo = (id) =>
          Promise.all([shop.sell(id, 1), shop.sell(id, 2)]);
        const ids = await whileInsertsWait(2, () => sellTwo(last));
        assert.equal(ids.filter((id) => id === null).length, 1);
        await sellTwo(show);
        assert.equal(connections, 2);
      } finally {
        await two.end();
      }
    });
  }

  test("after pool.query(), closes the connection", async () => {
    const full = await createShow(0);
    const one = new pg.Pool({ max: 1 });
    let connections = 0;
    one.on("connect", () => connections++);
    try {
      await assert.rejects(one.query(INSERT, [full, 1]), isSoldOut);
      await assert.rejects(one.query(INSERT, [full, 1]), isSoldOut);
      assert.equal(connections, 2);
    } finally {
      await one.end();
    }
  });

  test("in a transaction of Drizzle: a nested one is a savepoint", async () => {
    const full = await createShow(0);
    const ids = await new DrizzleShop(pool).sellEach([show, full, show], 1);
    assert.equal(ids.length, 2);
    assert.equal(await sold(show), 2);
    assert.equal(await sold(full), 0);
  });

  test("leaves a transaction of node-postgres usable after a savepoint", async () => {
    const full = await createShow(0);
    const client = await pool.connect();
    try {
      await client.query("BEGIN");
      await client.query(INSERT, [show, 1]);
      await client.query("SAVEPOINT ticket");
      await assert.rejects(client.query(INSERT, [full, 1]), isSoldOut);
      await client.query("ROLLBACK TO SAVEPOINT ticket");
      await client.query(INSERT, [show, 1]);
      await client.query("COMMIT");
    } finally {
      client.release();
    }
    assert.equal(await sold(show), 2);
  });
});

describe("places_left", () => {
  test("needs a type for a parameter of node-postgres", async () => {
    const call = (key) =>
      `SELECT booking.places_left('${CONSTRAINT}', ${key}) AS places`;
    await assert.rejects(pool.query(call("$1"), [show]), { code: "42P18" });
    const { rows } = await pool.query(call("$1::bigint"), [show]);
    assert.deepEqual(rows, [{ places: "50" }]);
  });

  test("can be a column of a query of Drizzle", async () => {
    await pool.query(INSERT, [show, 1]);
    const places = sql`booking.places_left(${CONSTRAINT}, ${shows.id})`.mapWith(
      Number,
    );
    const found = await drizzle(pool)
      .select({ id: shows.id, places })
      .from(shows)
      .where(eq(shows.id, show));
    assert.deepEqual(found, [{ id: show, places: 49 }]);
  });
});

describe("drizzle-kit", () => {
  const OUT = process.env.DRIZZLE_OUT; // a folder for what pull writes

  // Runs drizzle-kit without a terminal, so that a question fails.
  async function kit(args, env = {}) {
    const options = { env: { ...process.env, ...env } };
    const { stdout } = await promisify(execFile)(
      "node_modules/.bin/drizzle-kit",
      args,
      options,
    );
    return stdout;
  }

  async function triggers() {
    const { rows } = await pool.query(
      "SELECT tgname FROM pg_trigger WHERE tgname LIKE '_booking_%' ORDER BY 1",
    );
    return rows.map((row) => row.tgname);
  }

  test("migrate a second time changes nothing", async () => {
    const existing = await triggers();
    assert.ok(existing.length > 0);
    await kit(["migrate"]);
    assert.deepEqual(await triggers(), existing);
  });

  test("generate finds nothing to migrate", async () => {
    const files = await readdir("drizzle");
    assert.match(await kit(["generate"]), /No schema changes/);
    assert.deepEqual(await readdir("drizzle"), files);
  });

  test("push finds nothing to change, and keeps the triggers", async () => {
    const existing = await triggers();
    assert.match(await kit(["push", "--strict"]), /No changes detected/);
    assert.deepEqual(await triggers(), existing);
    await assert.rejects(
      pool.query(INSERT, [await createShow(0), 1]),
      isSoldOut,
    );
  });

  test("push into an empty database makes the tables without the constraint", async () => {
    await pool.query("CREATE DATABASE pushed");
    const pushed = new pg.Pool({ database: "pushed" });
    try {
      const url = process.env.DATABASE_URL.replace(/shop$/, "pushed");
      await kit(["push"], { DATABASE_URL: url });
      const found = await pushed.query(
        "SELECT 1 FROM pg_trigger WHERE tgrelid = 'shop_ticket'::regclass AND NOT tgisinternal",
      );
      assert.equal(found.rowCount, 0);
    } finally {
      await pushed.end();
      await pool.query("DROP DATABASE pushed");
    }
  });

  test("pull writes the two tables and nothing of schema booking", async () => {
    const url = `--url=${process.env.DATABASE_URL}`;
    await kit(["pull", "--dialect=postgresql", url, `--out=${OUT}`]);
    const schema = await readFile(`${OUT}/schema.ts`, "utf8");
    assert.deepEqual(schema.match(/pgTable\("\w+"/g), [
      'pgTable("shop_show"',
      'pgTable("shop_ticket"',
    ]);
    assert.ok(!schema.includes("booking"));
  });
});
