/** The node's API. Types come from its OpenAPI document, so that a page and a node that disagree do not build. */
import type { components, paths } from "../generated/api";
import { token } from "./token";

type Schemas = components["schemas"];
export type JobSummary = Schemas["JobSummary"];
export type JobDetail = Schemas["JobDetail"];
export type Terms = Schemas["TermsFacts"];
export type Exit = Schemas["Exit"];
export type Dispute = Schemas["Dispute"];
export type RoundSummary = Schemas["RoundSummary"];
export type Redelivery = Schemas["Redelivery"];
export type RoundDetail = Schemas["RoundDetail"];
export type Judged = Schemas["Judged"];
export type TrainerFacts = Schemas["TrainerFacts"];
export type CreditFacts = Schemas["CreditFacts"];
export type PayeeCredits = Schemas["PayeeCredits"];
export type NodeFacts = Schemas["NodeFacts"];
export type LocalTrainer = Schemas["LocalTrainer"];
export type DataCheck = Schemas["DataCheck"];
export type DataReport = Schemas["DataReport"];
export type DataSample = Schemas["DataSample"];
export type ColumnFacts = Schemas["ColumnFacts"];
export type Reading = NonNullable<Schemas["JoinRequest"]["reading"]>;
export type JobPreview = Schemas["JobPreview"];
export type Spec = NonNullable<JobDetail["spec"]>;
export type UnsignedCall = Schemas["UnsignedCall"];
export type AuditCheck = Schemas["AuditCheck"];
export type AuditResult = Schemas["AuditResult"];
export type SetupEntry = Schemas["SetupEntry"];
export type Done = Schemas["Done"];
export type Unclaimed = Schemas["Unclaimed"];
export type TransactionFacts = Schemas["TransactionFacts"];
export type Happened = Schemas["Happened"];
export type Seat = Schemas["Seat"];
export type TroubleEntry = Schemas["TroubleEntry"];
export type SentFacts = Schemas["SentFacts"];
export type RequestEntry = Schemas["RequestEntry"];
export type OwnPart = Schemas["OwnPart"];
export type JobScores = Schemas["JobScores"];
export type DataSchema = NonNullable<JobDetail["spec"]>["data"];
export type ChainNews = Schemas["ChainNews"];
export type TrainerNews = Schemas["TrainerNews"];
export type Problem = Schemas["Problem"];

type Verb = "get" | "post";
type Json<R> = R extends { content: { "application/json": infer T } } ? T : undefined;
type Ok<R> = R extends { responses: infer S }
  ? S extends { 200: infer A }
    ? Json<A>
    : S extends { 201: infer B }
      ? Json<B>
      : S extends { 202: infer C }
        ? Json<C>
        : undefined
  : never;
type Paths<V extends Verb> = { [P in keyof paths]: paths[P][V] extends object ? P : never }[keyof paths];
type Body<R> = R extends { requestBody: { content: { "application/json": infer T } } } ? T : undefined;
type Values = Record<string, string | number | null | undefined>;

const TIMEOUT_MS = 30_000;
/** Publishing a job can deploy contracts and make a set-up first; models are rebuilt round by round. */
const SLOW_MS = 300_000;

/** What the node answered instead. `detail` is a sentence; `status` 0 means that the node could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly errorName: string | null = null,
  ) {
    super(detail);
  }
}

/** Fills `{names}` of a path; what is left over becomes the query. */
export function address(path: string, values: Values = {}): string {
  const rest = new Map(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  );
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest.get(name);
    rest.delete(name);
    return encodeURIComponent(String(value));
  });
  const query = new URLSearchParams([...rest].map(([name, value]) => [name, String(value)])).toString();
  return query ? `${filled}?${query}` : filled;
}

export function authorized(): Record<string, string> {
  const held = token.get();
  return held ? { authorization: `Bearer ${held}` } : {};
}

/** The problem document of an answer that is none of those hoped for. */
export async function problemOf(response: Response): Promise<ApiError> {
  try {
    const problem = (await response.json()) as Partial<Problem>;
    if (typeof problem.detail === "string") return new ApiError(response.status, problem.detail, problem.name ?? null);
  } catch {
    // not JSON: something between page and node answered
  }
  return new ApiError(response.status, `The node answered ${response.status} ${response.statusText}.`);
}

async function answer(url: string, init: RequestInit, timeout: number): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      ...init,
      signal: AbortSignal.timeout(timeout),
      headers: { ...init.headers, ...authorized() },
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(
      0,
      late ? "The node did not answer in time." : "The node cannot be reached. Is “merit up” running?",
    );
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function call(url: string, init: RequestInit, timeout: number): Promise<unknown> {
  const response = await answer(url, init, timeout);
  return response.status === 204 ? undefined : response.json();
}

/** A file that the node gives, with the name it has there. */
export async function file(path: keyof paths, values: Values = {}): Promise<{ name: string; content: Blob }> {
  const response = await answer(address(path, values), {}, SLOW_MS);
  const name = /filename="([\w.-]{1,100})"/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  return { name: name ?? "file", content: await response.blob() };
}

/** slow: what the node computes first. */
export function get<P extends Paths<"get">>(path: P, values: Values = {}, slow = false): Promise<Ok<paths[P]["get"]>> {
  return call(address(path, values), {}, slow ? SLOW_MS : TIMEOUT_MS) as Promise<Ok<paths[P]["get"]>>;
}

export function post<P extends Paths<"post">>(
  path: P,
  body: Body<paths[P]["post"]>,
  values: Values = {},
): Promise<Ok<paths[P]["post"]>> {
  const init: RequestInit = { method: "POST" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  return call(address(path, values), init, SLOW_MS) as Promise<Ok<paths[P]["post"]>>;
}
