import { ponder } from "ponder:registry";
import { balance, job, round, seat } from "ponder:schema";

const STATES = ["none", "open", "running", "confirming", "completed", "cancelled", "aborted"];
const stateName = (state: number) => STATES[state] ?? "unknown";

ponder.on("JobMarket:JobCreated", async ({ event, context }) => {
  const { jobId, owner, terms, specCid } = event.args;
  await context.db.insert(job).values({
    id: jobId,
    owner,
    token: terms.token,
    reward: terms.reward,
    rounds: terms.rounds,
    round: 0,
    state: "open",
    specCid,
    createdAt: event.block.timestamp,
  });
});

ponder.on("JobMarket:AggregationAccepted", async ({ event, context }) => {
  await context.db.update(job, { id: event.args.jobId }).set({ aggregator: event.args.aggregator });
});

ponder.on("JobMarket:TakenOver", async ({ event, context }) => {
  await context.db.update(job, { id: event.args.jobId }).set({ aggregator: event.args.aggregator });
});

// A slot that somebody left can be taken by another, who then has the row.
ponder.on("JobMarket:Joined", async ({ event, context }) => {
  const { jobId, slot, operator, payee } = event.args;
  const fresh = { operator, payee, status: "active", submissions: 0, pay: null };
  await context.db.insert(seat).values({ jobId, slot, ...fresh }).onConflictDoUpdate(fresh);
});

ponder.on("JobMarket:Left", async ({ event, context }) => {
  await context.db.update(seat, event.args).set({ status: "left" });
});

ponder.on("JobMarket:Ejected", async ({ event, context }) => {
  const { jobId, slot } = event.args;
  await context.db.update(seat, { jobId, slot }).set({ status: "ejected" });
});

ponder.on("JobMarket:Started", async ({ event, context }) => {
  await context.db.update(job, { id: event.args.jobId }).set({ state: "running" });
});

// After a takeover a round opens again.
ponder.on("JobMarket:RoundOpened", async ({ event, context }) => {
  const { jobId, round: number } = event.args;
  await context.db.update(job, { id: jobId }).set({ round: number });
  await context.db
    .insert(round)
    .values({ jobId, number, submissions: 0, status: "open", openedAt: event.block.timestamp })
    .onConflictDoNothing();
});

ponder.on("JobMarket:UpdateSubmitted", async ({ event, context }) => {
  const { jobId, round: number, slot } = event.args;
  await context.db.update(round, { jobId, number }).set((row) => ({ submissions: row.submissions + 1 }));
  await context.db.update(seat, { jobId, slot }).set((row) => ({ submissions: row.submissions + 1 }));
});

ponder.on("JobMarket:RoundSettled", async ({ event, context }) => {
  const { jobId, round: number, settlement } = event.args;
  await context.db
    .update(round, { jobId, number })
    .set({ status: "settled", sumCid: settlement.sumCid, closedAt: event.block.timestamp });
});

ponder.on("JobMarket:RoundSkipped", async ({ event, context }) => {
  const { jobId, round: number } = event.args;
  await context.db.update(round, { jobId, number }).set({ status: "skipped", closedAt: event.block.timestamp });
});

ponder.on("JobMarket:ConfirmationOpened", async ({ event, context }) => {
  await context.db.update(job, { id: event.args.jobId }).set({ state: "confirming" });
});

ponder.on("JobMarket:Ended", async ({ event, context }) => {
  const { jobId, state, pot } = event.args;
  await context.db.update(job, { id: jobId }).set({ state: stateName(state), pot });
});

ponder.on("JobMarket:Claimed", async ({ event, context }) => {
  const { jobId, slot, pay } = event.args;
  await context.db.update(seat, { jobId, slot }).set({ pay });
});

ponder.on("JobMarket:Credited", async ({ event, context }) => {
  const { payee, token, amount } = event.args;
  await context.db
    .insert(balance)
    .values({ payee, token, credited: amount, withdrawn: 0n })
    .onConflictDoUpdate((row) => ({ credited: row.credited + amount }));
});

ponder.on("JobMarket:Withdrawn", async ({ event, context }) => {
  const { payee, token, amount } = event.args;
  await context.db.update(balance, { payee, token }).set((row) => ({ withdrawn: row.withdrawn + amount }));
});
