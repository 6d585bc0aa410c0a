// The market in a few lines: its open jobs, and what happens from now on. Types and paths are checked by the compiler.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const node = process.env.MERIT_NODE ?? "http://127.0.0.1:8080";
const token = process.env.MERIT_TOKEN; // what acts, or shows what is on the node's machine, needs it
const client = createClient<paths>({ baseUrl: node, headers: token ? { Authorization: `Bearer ${token}` } : {} });

type Problem = components["schemas"]["Problem"];

/** The answer, or an Error with the sentence that the node gave. */
function had<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error((error as Problem | undefined)?.detail ?? "The node did not answer.");
  return data;
}

const facts = had(await client.GET("/api/node"));
console.log(`market ${facts.market} on chain ${facts.chain_id}`);
const page = had(await client.GET("/api/jobs", { params: { query: { limit: 10 } } }));
for (const job of page.items) {
  // Amounts are texts: they pass what a number can hold.
  console.log(`job ${job.job_id} ${job.name ?? ""}: ${job.state}, ${BigInt(job.reward) * BigInt(job.rounds)} in rewards`);
}
const missing = await client.GET("/api/jobs/{job_id}", { params: { path: { job_id: 999999 } } });
console.log(`problem ${missing.response.status}: ${missing.error?.detail}`);
