/** What a job's proofs stand on: a set-up that the node makes for development, or one of those that it has. */
import { useId } from "preact/hooks";
import { get, type SetupEntry } from "../live/api";
import { useResource } from "../live/resource";
import { shortHex } from "../text/amounts";
import { circuitSeats, type Draft } from "../text/draft";
import { Term } from "../ui/parts";
import type { Form } from "./create-form";

const origin = (entry: SetupEntry) => (entry.development ? "for development" : "from a ceremony");

export function Proofs({ draft, mistakes, change }: Form) {
  const { data: known = [] } = useResource("setups", () => get("/api/setups"));
  const rule = draft.validation ? "reference" : "krum-cosine";
  const seats = circuitSeats(Number(draft.maxTrainers));
  const powers = known.filter((entry) => entry.what === "srs");
  const keys = known.filter((entry) => entry.what === "key" && entry.rule === rule && entry.seats === seats);
  const named = draft.setup === "named";
  return (
    <>
      <label class="wide">
        Set-up
        <select
          value={draft.setup}
          onChange={(event) => change({ setup: event.currentTarget.value as Draft["setup"] })}
        >
          <option value="development">For development, made here</option>
          <option value="named" disabled={powers.length === 0 && !named}>
            {powers.length ? "One that this node has" : "One that this node has: it has none"}
          </option>
        </select>
      </label>
      {named ? (
        <>
          <Choice
            label="Powers of τ"
            value={draft.srs}
            mistake={mistakes.srs}
            hint="Its chunks must hold the model, or parts of it: larger ones cost the aggregator, smaller ones gas."
            options={powers.map((entry) => [entry.hash, `chunks of ${entry.chunk}, ${origin(entry)}`])}
            choose={(srs) =>
              change({ srs, chunk: powers.find((entry) => entry.hash === srs)?.chunk?.toString() ?? "" })
            }
          />
          <Choice
            label="Pay rule's key"
            value={draft.key}
            mistake={mistakes.key}
            hint={`For ${rule} and ${seats} seats.${keys.length ? "" : " The node has none: see “merit setup key”."}`}
            options={keys.map((entry) => [entry.hash, `${entry.rule}, ${entry.seats} seats, ${origin(entry)}`])}
            choose={(key) => change({ key })}
          />
        </>
      ) : (
        <p class="hint wide">
          Whoever made a <Term word="development">development set-up</Term> could forge proofs: good for trying things.
          Public chains refuse it; take one from a <Term word="ceremony" /> there.
        </p>
      )}
    </>
  );
}

type ChoiceProps = {
  label: string;
  value: string;
  mistake: string | undefined;
  hint: string;
  options: [hash: string, text: string][];
  choose: (hash: string) => void;
};

function Choice({ label, value, mistake, hint, options, choose }: ChoiceProps) {
  const id = useId();
  const there = options.some(([hash]) => hash === value);
  return (
    <div class="field wide">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={there ? value : ""}
        aria-invalid={mistake ? true : undefined}
        aria-describedby={`${id}-note`}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        <option value="">Choose one</option>
        {options.map(([hash, text]) => (
          <option key={hash} value={hash}>
            {shortHex(hash)}: {text}
          </option>
        ))}
      </select>
      <span id={`${id}-note`} class={mistake ? "mistake" : "hint"}>
        {mistake ?? hint}
      </span>
    </div>
  );
}
