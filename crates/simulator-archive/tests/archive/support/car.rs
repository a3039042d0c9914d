//! CAR files as Old Faithful writes them.

use sha2::{Digest as _, Sha256};
use simulator_archive::model::{Block, Outcome, Reward, RewardKind, TokenBalance};
use solana_pubkey::Pubkey;

/// The identifier of a node.
pub(crate) type Identifier = [u8; 36];

/// A file under construction. Data of more than `piece` bytes is cut into pieces.
pub(crate) struct CarFile {
    pub(crate) bytes: Vec<u8>,
    piece: usize,
}

impl CarFile {
    pub(crate) fn new(piece: usize) -> Self {
        let mut file = Self {
            bytes: Vec::new(),
            piece,
        };
        let mut head = vec![0xa2, 0x65];
        head.extend(b"roots\x80\x67version\x01");
        file.length(head.len());
        file.bytes.extend(head);
        file
    }

    /// All blocks, each in one entry for each transaction and one without any.
    pub(crate) fn of(blocks: &[Block], piece: usize) -> Vec<u8> {
        let mut file = Self::new(piece);
        for block in blocks {
            file.block(block);
        }
        file.bytes
    }

    pub(crate) fn block(&mut self, block: &Block) -> Identifier {
        let mut entries = Vec::new();
        for (index, transaction) in block.transactions.iter().enumerate() {
            let metadata = transaction.outcome.as_ref().map(metadata).unwrap_or_default();
            let metadata = if metadata.is_empty() {
                metadata
            } else {
                zstd::encode_all(&*metadata, 3).unwrap()
            };
            let (wire, metadata) = (self.data(&transaction.wire), self.data(&metadata));
            let slot = number(0, block.slot);
            let node = list(&[number(0, 0), wire, metadata, slot, number(0, index as u64)]);
            let transaction = self.node(&node);
            entries.push(self.entry([index as u8; 32], &[transaction]));
        }
        entries.push(self.entry(block.blockhash.to_bytes(), &[]));
        let rewards = zstd::encode_all(&*rewards(block), 3).unwrap();
        let rewards = self.data(&rewards);
        let rewards = self.node(&list(&[number(0, 5), number(0, block.slot), rewards]));
        self.block_node(block, &entries, rewards)
    }

    pub(crate) fn block_node(&mut self, block: &Block, entries: &[Identifier], rewards: Identifier) -> Identifier {
        let shredding = list(&[list(&[number(0, 0), number(1, 0)])]);
        let time = number(0, block.block_time.unwrap_or_default() as u64);
        let height = block.block_height.map_or(vec![0xf6], |height| number(0, height));
        let meta = list(&[number(0, block.parent_slot), time, height]);
        let entries: Vec<_> = entries.iter().map(link).collect();
        let slot = number(0, block.slot);
        self.node(&list(&[
            number(0, 2),
            slot,
            shredding,
            list(&entries),
            meta,
            link(&rewards),
        ]))
    }

    pub(crate) fn entry(&mut self, hash: [u8; 32], transactions: &[Identifier]) -> Identifier {
        let links: Vec<_> = transactions.iter().map(link).collect();
        self.node(&list(&[number(0, 1), number(0, 12_500), bytes(&hash), list(&links)]))
    }

    pub(crate) fn node(&mut self, node: &[u8]) -> Identifier {
        let mut identifier = [0; 36];
        identifier[..4].copy_from_slice(&[1, 0x71, 0x12, 32]);
        identifier[4..].copy_from_slice(&Sha256::digest(node));
        self.length(identifier.len() + node.len());
        self.bytes.extend(identifier);
        self.bytes.extend(node);
        identifier
    }

    /// A frame with all data, or with the first piece and links to two more frames, the second of which has the rest.
    fn data(&mut self, data: &[u8]) -> Vec<u8> {
        let pieces: Vec<&[u8]> = data.chunks(self.piece).collect();
        let [first, rest @ ..] = pieces.as_slice() else {
            return frame(&[], 0, 1, &[]);
        };
        let total = pieces.len() as u64;
        let mut after: Vec<Identifier> = Vec::new();
        for (index, piece) in rest.iter().enumerate().skip(2) {
            after.push(self.node(&frame(piece, index as u64 + 1, total, &[])));
        }
        let mut next = Vec::new();
        for (index, piece) in rest.iter().enumerate().take(2) {
            let links = if index == 1 { &after[..] } else { &[] };
            next.push(self.node(&frame(piece, index as u64 + 1, total, links)));
        }
        frame(first, 0, total, &next)
    }

    fn length(&mut self, length: usize) {
        varint(&mut self.bytes, length as u64);
    }
}

fn frame(data: &[u8], index: u64, total: u64, next: &[Identifier]) -> Vec<u8> {
    let next: Vec<_> = next.iter().map(link).collect();
    list(&[
        number(0, 6),
        vec![0xf6],
        number(0, index),
        number(0, total),
        bytes(data),
        list(&next),
    ])
}

/// A head of CBOR: a kind and a number.
fn number(major: u8, value: u64) -> Vec<u8> {
    let mut head = vec![major << 5 | 27];
    head.extend(value.to_be_bytes());
    head
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [number(2, bytes.len() as u64), bytes.to_vec()].concat()
}

fn list(elements: &[Vec<u8>]) -> Vec<u8> {
    [number(4, elements.len() as u64), elements.concat()].concat()
}

fn link(identifier: &Identifier) -> Vec<u8> {
    [vec![0xd8, 42], bytes(&[&[0][..], identifier].concat())].concat()
}

/// An outcome as a protocol buffer.
pub(crate) fn metadata(outcome: &Outcome) -> Vec<u8> {
    let mut to = Vec::new();
    if let Err(error) = &outcome.status {
        let error = bincode::serialize(error).unwrap();
        field(&mut to, 1, &message(|to| field(to, 1, &error)));
    }
    count(&mut to, 2, outcome.fee);
    field(&mut to, 3, &packed(&outcome.pre_balances));
    for balance in &outcome.post_balances {
        count(&mut to, 4, *balance);
    }
    for inner in outcome.inner_instructions.iter().flatten() {
        let inner = message(|to| {
            count(to, 1, inner.index.into());
            for instruction in &inner.instructions {
                field(
                    to,
                    2,
                    &message(|to| {
                        count(to, 1, instruction.program_id_index.into());
                        field(to, 2, &instruction.accounts);
                        field(to, 3, &instruction.data);
                        if let Some(height) = instruction.stack_height {
                            count(to, 4, height.into());
                        }
                    }),
                );
            }
        });
        field(&mut to, 5, &inner);
    }
    for line in outcome.logs.iter().flatten() {
        field(&mut to, 6, line.as_bytes());
    }
    tokens(&mut to, 7, outcome.pre_token_balances.as_deref());
    tokens(&mut to, 8, outcome.post_token_balances.as_deref());
    count(&mut to, 10, outcome.inner_instructions.is_none().into());
    count(&mut to, 11, outcome.logs.is_none().into());
    let loaded = outcome.loaded_addresses.clone().unwrap_or_default();
    addresses(&mut to, 12, &loaded.writable);
    addresses(&mut to, 13, &loaded.readonly);
    if let Some(data) = &outcome.return_data {
        let data = message(|to| {
            field(to, 1, data.program_id.as_array());
            field(to, 2, &data.data);
        });
        field(&mut to, 14, &data);
    }
    for (number, value) in [(16, outcome.compute_units), (17, outcome.cost_units)] {
        if let Some(value) = value {
            count(&mut to, number, value);
        }
    }
    to
}

fn tokens(to: &mut Vec<u8>, number: u64, balances: Option<&[TokenBalance]>) {
    for balance in balances.unwrap_or_default() {
        let token = message(|to| {
            count(to, 1, balance.account_index.into());
            field(to, 2, balance.mint.to_string().as_bytes());
            field(
                to,
                3,
                &message(|to| {
                    // The balance as a floating-point number comes first.
                    to.extend([1 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0]);
                    count(to, 2, balance.decimals.into());
                    field(to, 3, balance.amount.to_string().as_bytes());
                }),
            );
            field(to, 4, text(balance.owner).as_bytes());
            field(to, 5, text(balance.program_id).as_bytes());
        });
        field(to, number, &token);
    }
}

fn text(address: Option<Pubkey>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

fn addresses(to: &mut Vec<u8>, number: u64, list: &[Pubkey]) {
    for address in list {
        field(to, number, address.as_array());
    }
}

fn rewards(block: &Block) -> Vec<u8> {
    let mut to = Vec::new();
    for reward in &block.rewards {
        field(&mut to, 1, &message(|to| reward_fields(to, reward)));
    }
    if let Some(partitions) = block.num_reward_partitions {
        field(&mut to, 2, &message(|to| count(to, 1, partitions)));
    }
    to
}

fn reward_fields(to: &mut Vec<u8>, reward: &Reward) {
    field(to, 1, reward.pubkey.to_string().as_bytes());
    count(to, 2, reward.lamports as u64);
    count(to, 3, reward.post_balance);
    let kind = match reward.kind {
        None => 0,
        Some(RewardKind::Fee) => 1,
        Some(RewardKind::Rent) => 2,
        Some(RewardKind::Staking) => 3,
        Some(RewardKind::Voting) => 4,
        Some(RewardKind::DeactivatedStake) => 5,
    };
    count(to, 4, kind);
    let commission = reward.commission.map(|percent| percent.to_string()).unwrap_or_default();
    field(to, 5, commission.as_bytes());
}

fn message(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut to = Vec::new();
    fill(&mut to);
    to
}

fn field(to: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(to, number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend(bytes);
}

fn count(to: &mut Vec<u8>, number: u64, value: u64) {
    varint(to, number << 3);
    varint(to, value);
}

fn packed(values: &[u64]) -> Vec<u8> {
    let mut to = Vec::new();
    for value in values {
        varint(&mut to, *value);
    }
    to
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
