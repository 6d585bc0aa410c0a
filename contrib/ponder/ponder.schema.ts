import { onchainTable, primaryKey } from "ponder";

// Amounts are in the token's smallest unit, times Unix seconds of the chain's clock.
export const job = onchainTable("job", (t) => ({
  id: t.bigint().primaryKey(),
  owner: t.hex().notNull(),
  aggregator: t.hex(),
  token: t.hex().notNull(),
  reward: t.bigint().notNull(),
  rounds: t.integer().notNull(),
  round: t.integer().notNull(),
  state: t.text().notNull(), // open, running, confirming, completed, cancelled, aborted
  specCid: t.text().notNull(),
  pot: t.bigint(),
  createdAt: t.bigint().notNull(),
}));

export const seat = onchainTable(
  "seat",
  (t) => ({
    jobId: t.bigint().notNull(),
    slot: t.integer().notNull(),
    operator: t.hex().notNull(),
    payee: t.hex().notNull(),
    status: t.text().notNull(), // active, left, ejected
    submissions: t.integer().notNull(),
    pay: t.bigint(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.jobId, table.slot] }) }),
);

export const round = onchainTable(
  "round",
  (t) => ({
    jobId: t.bigint().notNull(),
    number: t.integer().notNull(),
    submissions: t.integer().notNull(),
    status: t.text().notNull(), // open, settled, skipped
    sumCid: t.text(),
    openedAt: t.bigint().notNull(),
    closedAt: t.bigint(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.jobId, table.number] }) }),
);

export const balance = onchainTable(
  "balance",
  (t) => ({
    payee: t.hex().notNull(),
    token: t.hex().notNull(),
    credited: t.bigint().notNull(),
    withdrawn: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.payee, table.token] }) }),
);
