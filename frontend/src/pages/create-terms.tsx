/** The part of the form about money, seats, deadlines and who judges. */
import { useNode } from "../live/node";
import { shortAmount, type Unit } from "../text/amounts";
import { documentOf, leastTrainers, type Money, moneyOf } from "../text/draft";
import { PACES, paceOf } from "../text/templates";
import { DataChecked, ReadingFields, Sources } from "../ui/data-source";
import { ChoiceField, Fold } from "../ui/field";
import { Notice } from "../ui/parts";
import { Field, type Form } from "./create-form";
import { Proofs } from "./create-proofs";

const VALIDATION =
  "A source on the node's machine, such as digits. With it the rule is reference, without it krum-cosine.";

type Props = Form & { unit: Unit /** Nothing is wrong in the form. */; complete: boolean };

export function Terms({ unit, complete, ...form }: Props) {
  const { draft, change } = form;
  const node = useNode();
  const amount = { ...form, unit: unit.unknown ? "units" : unit.symbol, short: true };
  const money = moneyOf(draft, unit);
  const empty = (name: keyof Money, what: string) =>
    draft[name].trim() === "" && money ? `Empty: ${shortAmount(money[name], unit)}, ${what}.` : undefined;
  const pace = paceOf(draft);
  return (
    <>
      <fieldset>
        <legend>Money and seats</legend>
        <Field {...amount} name="reward" label="Reward a round" />
        <Field {...form} name="rounds" label="Rounds" short />
        <Field {...form} name="minTrainers" label="Trainers to start" short />
        <Field {...form} name="maxTrainers" label="Seats" short />
        <ChoiceField
          name="pace"
          label="Pace"
          mistakes={{}}
          wide
          value={pace}
          options={[
            ...Object.entries(PACES).map(([name, { title }]) => [name, title] as const),
            ...(pace === "" ? [["", "As given below"] as const] : []),
          ]}
          set={(chosen) => change(PACES[chosen]?.fields ?? {})}
        />
        <Gate {...form} />
        <Fold title="For experts: stake, bond, fee, token">
          <Field
            {...amount}
            name="stake"
            label="Stake"
            word="stake"
            hint={empty("stake", "an equal part of a round's reward")}
          />
          <Field
            {...amount}
            name="bond"
            label="Bond"
            word="bond"
            hint={empty("bond", "what a league of aggregator and trainers could gain")}
          />
          <Field
            {...amount}
            name="fee"
            label="Fee a settled round"
            word="fee"
            hint={empty("fee", "for the aggregator: a tenth of the bond over all rounds")}
          />
          <Field
            {...form}
            name="token"
            label="ERC-20 token"
            hint={
              draft.token === ""
                ? "Empty: the chain's coin."
                : unit.unknown
                  ? "The token has not said its decimals: the amounts above are in its smallest units."
                  : `The amounts above are in ${unit.symbol}, which has ${unit.decimals} decimals.`
            }
            wide
          />
        </Fold>
        <Deadlines {...form} />
      </fieldset>
      <fieldset>
        <legend>Who judges, and by what</legend>
        <Field
          {...form}
          name="validation"
          label="Validation data"
          list="validation"
          hint={
            draft.validation || Number(draft.minTrainers) > 4
              ? VALIDATION
              : `${VALIDATION} With four updates or fewer, krum-cosine leaves nobody out, not even a poisoner.`
          }
          wide
        />
        <Sources id="validation" />
        {draft.validation !== "" && (
          <>
            <div class="wide">
              {draft.validation !== draft.table && (
                <ReadingFields of="validation" value={draft.reading} change={(reading) => change({ reading })} />
              )}
              <DataChecked
                of={complete ? { document: documentOf(draft, unit) } : null}
                source={draft.validation}
                reading={draft.reading}
              />
            </div>
            <Revealing {...form} />
          </>
        )}
        <Fold title="For experts: aggregator, proofs">
          <Field
            {...form}
            name="aggregator"
            label="Aggregator"
            word="aggregator"
            hint={node?.aggregator ? "This node's own is filled in." : "Empty: anyone may aggregate."}
            wide
          />
          <Field {...form} name="aggregatorKey" label="Its public key" wide />
          <Field
            {...form}
            name="takeoverWindow"
            label="Takeover window"
            word="takeover"
            hint={
              draft.takeoverWindow.trim() === "0"
                ? "0: if the aggregator fails, the job is aborted."
                : `If the aggregator fails, another may take over for so long. It then sees the updates.${draft.validation ? " Your node gives it the validation data; a job created in a wallet needs your signature for that, on the job's page." : ""}`
            }
            wide
          />
          <Proofs {...form} />
        </Fold>
      </fieldset>
    </>
  );
}

function Deadlines(form: Form) {
  const { draft } = form;
  return (
    <Fold title="For experts: deadlines, faulty trainers">
      <Field {...form} name="enrolFor" label="Enrolment lasts" short />
      <Field {...form} name="startDelay" label="Start delay" word="start delay" short />
      <Field {...form} name="submitWindow" label="Time to submit" short />
      <Field {...form} name="settleWindow" label="Time to settle" short />
      <Field {...form} name="confirmWindow" label="Confirm window" word="confirm window" short />
      <Field {...form} name="minRounds" label="Minimum rounds" word="minimum rounds" hint="Empty: all of them." short />
      <Field
        {...form}
        name="maxFaulty"
        label="Faulty trainers"
        word="faulty, f"
        hint={
          draft.maxFaulty.trim() === "0"
            ? "0: every update has to open."
            : `It takes ${leastTrainers(draft) ?? "2f + 3"} or more to start.`
        }
        short
      />
    </Fold>
  );
}

/** Who may take a seat. */
function Gate(form: Form) {
  const { gate } = form.draft;
  const kind = gate === "" || gate === "owner" ? gate : "other";
  return (
    <>
      <label class="wide">
        Who may join
        <select
          value={kind}
          onChange={(event) => form.change({ gate: event.currentTarget.value.replace("other", "0x") })}
        >
          <option value="">Anybody, in as many seats as there are</option>
          <option value="owner">Whom you invite</option>
          <option value="other">Whom another account invites</option>
        </select>
      </label>
      {kind === "other" && <Field {...form} name="gate" label="Gate" word="gate" hint="Its address." wide />}
      {kind === "owner" && (
        <Notice kind="info">
          You can invite yourself, and whoever wants to join is told so. A gate that is not the owner shows that the
          seats are others'.
        </Notice>
      )}
    </>
  );
}

/** Whether and for how long members are to be shown the validation data, and what follows from it. */
function Revealing(form: Form) {
  const never = form.draft.revealWindow.trim() === "never";
  return (
    <>
      <label class="wide">
        Validation data at the end
        <select
          value={never ? "never" : "members"}
          onChange={(event) => form.change({ revealWindow: event.currentTarget.value === "never" ? "never" : "" })}
        >
          <option value="members">Revealed to all members, who recompute the points</option>
          <option value="never">Never revealed</option>
        </select>
      </label>
      {!never && (
        <Field
          {...form}
          name="revealWindow"
          label="Reveal window"
          word="reveal window"
          hint="Empty: half of the confirm window."
          short
        />
      )}
      <Notice kind={never ? "warn" : "info"}>
        {never
          ? "Points then rest on the aggregator's word alone: nobody can check them, and whoever wants to join is told so."
          : "Every member can keep a copy of the data: it takes no more than a seat, whose stake comes back. If they are too private for that, choose never."}
      </Notice>
    </>
  );
}
