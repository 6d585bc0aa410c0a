/** What an account has of what something costs, said before a wallet opens. */
import { get } from "../live/api";
import { useResource } from "../live/resource";
import { COIN, formatAmount, shortHex, type Unit, ZERO_ADDRESS } from "../text/amounts";
import { Amount } from "./parts";

export function useHoldings(account: string | null | undefined, token = ZERO_ADDRESS) {
  return useResource(
    account ? `holdings ${account} ${token}` : null,
    () => get("/api/holdings/{account}", { account, token }),
    (news) => news.type === "chain",
  );
}

type Props = {
  holdings: ReturnType<typeof useHoldings>;
  whose: string;
  cost: bigint;
  token: string;
  unit: Unit;
};

/** "Your wallet holds 1 ether: 2.1 ether are lacking." */
export function Funds({ holdings: { data }, whose, cost, token, unit }: Props) {
  if (!data) return null;
  if (data.held === null) return <p class="mistake">There is no token at {shortHex(token)}. Check its address.</p>;
  const held = BigInt(data.held);
  const lacks = cost > held ? cost - held : 0n;
  const noGas = BigInt(data.coin) === 0n;
  return (
    <p class={lacks || noGas ? "mistake" : "muted"} role="status">
      {whose} holds <Amount value={held} unit={unit} />
      {lacks > 0n && `: ${formatAmount(lacks, unit)} more needed. Fund it first`}
      {lacks === 0n && noGas && ", and no coin for the gas. Fund it first"}
      {token !== ZERO_ADDRESS && !noGas && (
        <>
          , and <Amount value={data.coin} unit={COIN} /> for the gas
        </>
      )}
      .
    </p>
  );
}
