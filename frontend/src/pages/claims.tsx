/** What waits in a job that is over: anybody may claim a seat's pay and stake for its payee, who then withdraws. */

import { encodeFunctionData, type Hex } from "viem";
import { marketAbi } from "../generated/market";
import { type JobDetail, post, type TrainerFacts } from "../live/api";
import { Link } from "../router";
import { formatAmount, type Unit } from "../text/amounts";
import { isOver, unclaimed } from "../text/standing";
import { Payee } from "../ui/address";
import { useHolder } from "../ui/holder";
import { Amount, Term } from "../ui/parts";
import { Send } from "../ui/send";

/** Whether an account is the wallet's of this browser, or of this node's key. */
export function useMine(): (account: string) => boolean {
  const holder = useHolder();
  return (account) => Object.values(holder(account)).some(Boolean);
}

type Waiting = {
  jobId: number;
  slot: number;
  payee: string;
  /** What comes of it, pay and stake. */
  amount: bigint;
  own: boolean;
  unit: Unit;
  after: () => void;
};

export function ClaimSeat({ jobId, slot, payee, amount, own, unit, after }: Waiting) {
  return (
    <div class="exit">
      <p>
        {own ? "Your pay and stake" : `Pay and stake of seat ${slot}`}: <Amount value={amount} unit={unit} />, for{" "}
        <Payee value={payee} />.
      </p>
      <Send
        label={own ? "Claim your pay and stake" : `Claim for seat ${slot}`}
        text={`Claim ${formatAmount(amount, unit)} for seat ${slot} of job ${jobId}`}
        data={() => encodeFunctionData({ abi: marketAbi, functionName: "claim", args: [BigInt(jobId), slot] })}
        byNode={() => post("/api/jobs/{job_id}/claims/{slot}", undefined, { job_id: jobId, slot })}
        after={after}
        done="Claimed: it can be withdrawn now."
      />
    </div>
  );
}

type Fees = { jobId: number; payee: string; fees: string; unit: Unit; after: () => void };

export function ClaimFees({ jobId, payee, fees, unit, after }: Fees) {
  return (
    <div class="exit">
      <p>
        Fees of rounds that were settled before another aggregator took over: <Amount value={fees} unit={unit} />, for{" "}
        <Payee value={payee} />.
      </p>
      <Send
        label="Claim these fees"
        text={`Claim ${formatAmount(fees, unit)} of fees in job ${jobId}`}
        data={() =>
          encodeFunctionData({ abi: marketAbi, functionName: "claimFees", args: [BigInt(jobId), payee as Hex] })
        }
        byNode={() => post("/api/jobs/{job_id}/fees/{payee}", undefined, { job_id: jobId, payee })}
        after={after}
        done="Claimed: they can be withdrawn now."
      />
    </div>
  );
}

type Props = { detail: JobDetail; trainers: TrainerFacts[]; unit: Unit; after: () => void };

export function Claims({ detail, trainers, unit, after }: Props) {
  const mine = useMine();
  if (!isOver(detail.summary.state)) return null;
  const jobId = detail.summary.job_id;
  const own = (trainer: TrainerFacts) => mine(trainer.operator) || mine(trainer.payee);
  const waiting = unclaimed(trainers);
  const first = [...waiting.filter(own), ...waiting.filter((trainer) => !own(trainer))];
  const claimed = trainers.filter((trainer) => trainer.claimed && own(trainer));
  if (first.length === 0 && claimed.length === 0 && detail.owed.length === 0) return null;
  return (
    <section>
      <h2>
        <Term word="claim">Claims</Term>
      </h2>
      {claimed.map((trainer) => (
        <p key={trainer.slot}>
          Your pay and stake of seat {trainer.slot} were claimed.{" "}
          <Link to={`/pay/${trainer.payee}`}>See and withdraw them</Link>.
        </p>
      ))}
      {first.map((trainer) => (
        <ClaimSeat
          key={trainer.slot}
          jobId={jobId}
          slot={trainer.slot}
          payee={trainer.payee}
          amount={BigInt(trainer.pay) + BigInt(trainer.stake)}
          own={own(trainer)}
          unit={unit}
          after={after}
        />
      ))}
      {detail.owed.map(({ payee, fees }) => (
        <ClaimFees key={payee} jobId={jobId} payee={payee} fees={fees} unit={unit} after={after} />
      ))}
    </section>
  );
}
