pragma circom 2.1.0;

include "node_modules/circomlib/circuits/poseidon.circom";

// What aggregators prove when all of it is one circuit: the squared distances between n vectors of d entries, |entry| < 2^15,
// each vector bound by a Poseidon hash. Per parameter: 16·n bits, n(n − 1)/2 squares and, since 15 entries go into one field
// element and 15 of these into one permutation, about 2.7·n constraints of hashing.

// in + 2^15, by its bits: the range without which packed entries would not be bound.
template Entry() {
    signal input in;
    signal output shifted;
    signal bits[16];
    var sum = 0;
    for (var b = 0; b < 16; b++) {
        bits[b] <-- ((in + 32768) >> b) & 1;
        bits[b] * (bits[b] - 1) === 0;
        sum += bits[b] * (1 << b);
    }
    shifted <== sum;
    sum === in + 32768;
}

template Bound(d) {
    signal input in[d];
    signal output hash;
    var words = (d + 14) \ 15;
    var blocks = (words + 14) \ 15;
    component entries[d];
    component permutations[blocks];
    var packed[15 * blocks];
    for (var w = 0; w < 15 * blocks; w++) packed[w] = 0;
    for (var t = 0; t < d; t++) {
        entries[t] = Entry();
        entries[t].in <== in[t];
        packed[t \ 15] += entries[t].shifted * (1 << (16 * (t % 15)));
    }
    for (var k = 0; k < blocks; k++) {
        permutations[k] = Poseidon(16);
        if (k == 0) { permutations[k].inputs[0] <== d; } else { permutations[k].inputs[0] <== permutations[k - 1].out; }
        for (var w = 0; w < 15; w++) permutations[k].inputs[w + 1] <== packed[15 * k + w];
    }
    hash <== permutations[blocks - 1].out;
}

template Pairwise(n, d) {
    signal input vectors[n][d];
    signal output hashes[n];
    signal output distances[n * (n - 1) / 2];
    component bound[n];
    for (var i = 0; i < n; i++) {
        bound[i] = Bound(d);
        for (var t = 0; t < d; t++) bound[i].in[t] <== vectors[i][t];
        hashes[i] <== bound[i].hash;
    }
    signal squares[n * (n - 1) / 2][d];
    var pair = 0;
    for (var i = 0; i < n; i++) {
        for (var j = i + 1; j < n; j++) {
            var sum = 0;
            for (var t = 0; t < d; t++) {
                squares[pair][t] <== (vectors[i][t] - vectors[j][t]) * (vectors[i][t] - vectors[j][t]);
                sum += squares[pair][t];
            }
            distances[pair] <== sum;
            pair++;
        }
    }
}
