import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

import pg from "pg";

import { DrizzleShop } from "./drizzle-shop.js";
import { PgShop } from "./pg-shop.js";

const ROUTE = /^\/(pg|drizzle)\/shows\/(\d{1,15})\/tickets$/;

// POST /pg/shows/1/tickets {"userId": 42} sells a ticket by node-postgres,
// and /drizzle/shows/1/tickets by Drizzle.
export function createShopServer(pool) {
  const shops = { pg: new PgShop(pool), drizzle: new DrizzleShop(pool) };

  async function answer(request) {
    const [, client, showId] = ROUTE.exec(request.url) ?? [];
    if (request.method !== "POST" || !client) return [404, {}];
    // A real shop takes the user from the session, never from the request.
    const { userId } = await readJson(request);
    if (!Number.isSafeInteger(userId)) return [400, { error: "no userId" }];
    const id = await shops[client].sell(Number(showId), userId);
    if (id === undefined) return [404, { error: "no such show" }];
    if (id === null) return [409, { error: "sold out" }];
    return [201, { id }];
  }

  return createServer(async (request, response) => {
    const [status, body] = await answer(request).catch((error) => {
      console.error(error);
      return [500, { error: "internal error" }];
    });
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
}

async function readJson(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const pool = new pg.Pool();
  // Without these listeners, a connection that is lost ends the process.
  pool.on("error", (error) => console.error(error)); // of an idle connection
  pool.on("connect", (client) => client.on("error", () => {})); // in use: its query fails, too
  const server = createShopServer(pool);
  server.listen(process.env.PORT ?? 3000, "127.0.0.1", () => {
    console.log(`http://127.0.0.1:${server.address().port}`);
  });
}
