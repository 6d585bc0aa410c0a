/** A job from a form, a template or a job file: cost and mistakes beside it, expert terms folded away, then the wallet. */
import { useEffect, useState } from "preact/hooks";
import { get, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { useUnit } from "../live/unit";
import { COIN, SMALLEST, type Unit } from "../text/amounts";
import { type Draft, draftOf, isAddress, keep, kept, mistakesOf } from "../text/draft";
import { filled, TEMPLATES, type Template } from "../text/templates";
import { useAttempt } from "../ui/attempt";
import { Fold, TextField } from "../ui/field";
import { NoToken } from "../ui/no-token";
import { Notice, Title } from "../ui/parts";
import { useWallet } from "../wallet/wallet";
import { Cost } from "./create-cost";
import { Field, type Form } from "./create-form";
import { Learn } from "./create-learn";
import { Terms } from "./create-terms";

export function Create() {
  const node = useNode();
  const token = useToken();
  const wallet = useWallet();
  const [draft, setDraft] = useState<Draft>(kept);
  const [touched, setTouched] = useState(false);
  const aggregator = node?.aggregator;
  useEffect(() => {
    if (aggregator)
      setDraft((old) =>
        old.aggregator ? old : { ...old, aggregator: aggregator.address, aggregatorKey: aggregator.encryption_key },
      );
  }, [aggregator]);
  useEffect(() => keep(draft), [draft]);
  const told = useUnit(isAddress(draft.token) ? draft.token : undefined);
  const unit = draft.token === "" ? COIN : told === COIN ? SMALLEST : told;
  const mistakes = mistakesOf(draft, unit);
  const change = (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part }));
  const form: Form = { draft, mistakes: touched ? mistakes : {}, change };
  return (
    <>
      <header class="page-head">
        <Title>Create a job</Title>
        <p class="lead">
          Say what is to be learned and what you pay. Nothing is sent before you have seen the cost and signed.
        </p>
      </header>
      {!token ? (
        <NoToken />
      ) : (
        <form class="create" noValidate onSubmit={(event) => event.preventDefault()}>
          <div class="create-fields">
            <Start {...form} />
            <Learn {...form} />
            <Terms {...form} unit={unit} complete={Object.keys(mistakes).length === 0} />
          </div>
          <Cost
            draft={draft}
            mistakes={mistakes}
            unit={unit}
            touch={() => setTouched(true)}
            wallet={wallet?.account ?? null}
          />
        </form>
      )}
    </>
  );
}

/** Where the form begins: a template, or a job file. */
function Start(form: Form) {
  const { draft, change } = form;
  return (
    <fieldset>
      <legend>Start from</legend>
      <div class="templates" role="radiogroup" aria-label="Template">
        {Object.entries(TEMPLATES).map(([name, { title, text }]) => (
          <label key={name} class="template">
            <input
              type="radio"
              name="template"
              checked={draft.template === name}
              onChange={() => change(filled(name as Template, draft))}
            />
            <span>
              <b>{title}</b>
              <small>{text}</small>
            </span>
          </label>
        ))}
      </div>
      <LoadFile change={change} />
      <Field {...form} name="name" label="Name" wide />
      <Field {...form} name="description" label="Description" hint="What the model is for, and what data fit." wide />
    </fieldset>
  );
}

async function unitOf(token: unknown): Promise<Unit> {
  if (typeof token !== "string") return COIN;
  const { symbol, decimals } = await get("/api/tokens/{token}", { token });
  return { symbol, decimals: decimals ?? 0 };
}

/** A job.yaml, chosen or pasted: the node reads it as strictly as the command line does. */
function LoadFile({ change }: Pick<Form, "change">) {
  const [text, setText] = useState("");
  const [said, setSaid] = useState("");
  const { working, problem, setProblem, attempt } = useAttempt();
  const load = () =>
    attempt(async () => {
      setSaid("");
      const { document } = await post("/api/jobs/preview", { yaml: text });
      const draft = draftOf(document, await unitOf((document.market as Record<string, unknown>).token));
      if (draft === null) return setProblem("The file has a number that the page cannot hold: use the command line.");
      change(draft);
      setSaid(`“${draft.name}” is in the form. What the form does not show stays as the file has it.`);
    });
  return (
    <Fold title="Or load a job file">
      <label class="wide">
        A file of this computer
        <input
          type="file"
          accept=".yaml,.yml"
          onChange={(event) => void event.currentTarget.files?.[0]?.slice(0, 262_144).text().then(setText)}
        />
      </label>
      <TextField
        name="yaml"
        label="Its text"
        mistakes={{}}
        hint="As docs/job-file.md has it."
        value={text}
        rows={6}
        wide
        set={setText}
      />
      <div class="actions">
        <button type="button" class="quiet" onClick={load} disabled={working || text.trim() === ""}>
          {working ? "Reads it…" : "Show it in the form"}
        </button>
      </div>
      {problem && <Notice kind="bad">{problem}</Notice>}
      {said && <Notice kind="good">{said}</Notice>}
    </Fold>
  );
}
