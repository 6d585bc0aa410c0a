/** An address, by its name where it has one; the whole is in the title, and a click copies it. And the list of names. */
import { useId, useState } from "preact/hooks";
import { isAddress } from "viem";
import { nameAddress, names, useNameOf } from "../live/names";
import { useStore } from "../live/store";
import { Link } from "../router";
import { shortHex } from "../text/amounts";
import { LONGEST, nameMistake } from "../text/names";
import { Hex } from "./parts";

export function Address({ value, what }: { value: string; what: string }) {
  const known = useNameOf()(value);
  return <Hex value={value} what={what} {...(known && { name: known.name })} />;
}

/** Leads to what the address was credited. */
export function Payee({ value }: { value: string }) {
  const known = useNameOf()(value);
  return (
    <Link to={`/pay/${value}`} class="hexlink">
      <span title={value}>{known?.name ?? shortHex(value)}</span>
    </Link>
  );
}

/** Names an address, or changes its name. */
export function NameForm({ address }: { address?: string }) {
  const kept = useStore(names);
  const id = useId();
  const before = (address && kept[address.toLowerCase()]) || "";
  const [whose, setWhose] = useState("");
  const [name, setName] = useState(before);
  const [problem, setProblem] = useState<string | null>(null);
  const save = (event: Event) => {
    event.preventDefault();
    const given = address ?? whose.trim();
    if (!isAddress(given, { strict: false }))
      return setProblem("This is no address: it begins with 0x and has 40 digits.");
    const mistake = nameMistake(name);
    if (mistake) return setProblem(mistake);
    setProblem(nameAddress(given, name) ? null : "This browser keeps nothing: the name is lost with this tab.");
    if (!address) {
      setWhose("");
      setName("");
    }
  };
  return (
    <form class="inline-form" onSubmit={save}>
      {!address && (
        <label>
          Address
          <input
            value={whose}
            placeholder="0x…"
            maxLength={42}
            onInput={(event) => setWhose(event.currentTarget.value)}
          />
        </label>
      )}
      <label>
        {address ? "Your name for this address" : "Name"}
        <input
          value={name}
          maxLength={LONGEST}
          aria-invalid={problem ? true : undefined}
          aria-describedby={problem ? id : undefined}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="quiet">
        {before ? "Change the name" : "Name it"}
      </button>
      {problem && (
        <p class="mistake" id={id} role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

/** All names, to be looked at, added to and forgotten. */
export function NameList() {
  const kept = Object.entries(useStore(names)).sort(([, a], [, b]) => a.localeCompare(b));
  return (
    <>
      <p class="muted">
        Names that you give to addresses are shown instead of them. They stay in this browser: nobody else sees them,
        and nothing that others wrote is ever taken for a name.
      </p>
      {kept.length > 0 && (
        <ul class="names" aria-label="Names">
          {kept.map(([address, name]) => (
            <li key={address}>
              <strong>{name}</strong> <Payee value={address} />{" "}
              <span class="hint number">{shortHex(address, 10, 8)}</span>{" "}
              <button type="button" class="quiet small" onClick={() => nameAddress(address, null)}>
                Forget<span class="visually-hidden"> the name {name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <NameForm />
    </>
  );
}
