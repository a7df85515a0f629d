// SPDX-License-Identifier: Apache-2.0
//
// DNS queries in the hook of a network interface's receive path (XDP): one program that answers what it has an
// answer for, and others to compare it with. Everything that is not wholly understood goes on to the kernel's
// network stack (XDP_PASS) and so to meridian's socket: the program knows no error but "not mine".
//
// The maps are filled by user space (src/hot.rs), from the answers that meridian itself composes.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// The longest hot name in wire form; a key is as long.
#define NAME_OCTETS_MAX 64
// The longest records of an answer, OPT not counted.
#define RECORDS_OCTETS_MAX 128
// A reply is shorter than 512 octets, whatever the client takes (RFC 1035 section 4.2.1).
#define REPLY_OCTETS_MAX 256
#define DNS_OCTETS 12
#define FRAME_HEAD_OCTETS (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr))
#define OPT_OCTETS 11
#define OPT_TYPE 41
// An OPT with the option of RFC 7871 for an IPv4 network of 24 bits and nothing else.
#define SUBNET_OPTION_OCTETS 11
#define SUBNET_CODE 8
#define FRAGMENT_BITS 0x3fff
#define DONT_FRAGMENT 0x4000
#define TTL 64
// Flags of a query that may be set: RD, AD, CD. All others are for the socket's path.
#define FLAGS_KNOWN 0x0130
#define FLAG_RESPONSE 0x8000
#define FLAG_RD 0x0100

// Set by user space before the program is loaded.
const volatile __u32 server_address; // network order
const volatile __u16 server_port;    // network order
const volatile __u16 payload_octets; // of our own OPT, host order

struct dns_header {
	__be16 id, flags, questions, answers, authorities, additionals;
};

struct name_key {
	__u8 name[NAME_OCTETS_MAX]; // lower case, zeros behind it
	__be16 rtype;
	__u16 zero;
};

struct name_value {
	__u32 first;   // the number of its answer, or of its first one
	__u32 service; // 0: static; otherwise one above the number of its networks
};

struct answer {
	__u16 flags; // host order, RD not among them
	__u16 answers, authorities, additionals;
	__u16 octets;
	__u8 records[RECORDS_OCTETS_MAX];
};

// What a network of 24 bits is answered: 10 bits of answer, 6 bits of scope. The last answer means "ask meridian".
#define UNKNOWN_ANSWER 0x3ff
struct networks {
	__u16 by_third_octet[256];
};

struct network_key {
	__u32 length; // 32 bits of service, then the network
	__be32 service;
	__be32 address;
};

enum counter { ANSWERED_STATIC, ANSWERED_STEERED, PASSED, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct name_key);
	__type(value, struct name_value);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

// By service and the first two octets: one look-up, 32 MiB a service.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct networks);
} flat_networks SEC(".maps");

// The same as networks of exact length: the kernel's own longest-prefix match.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8388608);
	__type(key, struct network_key);
	__type(value, __u32);
} trie_networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

// A reply's octets, to sum them up: zeros behind it within four octets.
struct scratch {
	__u8 octets[REPLY_OCTETS_MAX + 4];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

static __always_inline void count(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);
	if (counter)
		*counter += 1;
}

static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// The UDP header behind a plain IPv4 header, whole datagrams to the server only; 0: not mine.
static __always_inline struct udphdr *mine(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	struct iphdr *ip = data + sizeof(*ethernet);
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end)
		return 0;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4 || ip->ihl != 5)
		return 0;
	if (ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(FRAGMENT_BITS))
		return 0;
	if (ip->daddr != server_address || udp->dest != server_port || udp->source == 0)
		return 0;
	// What is longer or shorter than it says is somebody else's to judge.
	if (bpf_ntohs(ip->tot_len) != sizeof(*ip) + bpf_ntohs(udp->len) ||
	    (void *)ip + bpf_ntohs(ip->tot_len) > end)
		return 0;
	return udp;
}

// Back to where it came from, its length and IPv4 checksum made anew. UDP's checksum is left 0.
static __always_inline void turn(struct ethhdr *ethernet, __u16 dns_octets)
{
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u8 station[ETH_ALEN];
	__builtin_memcpy(station, ethernet->h_dest, ETH_ALEN);
	__builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, station, ETH_ALEN);
	__be32 address = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = address;
	__be16 port = udp->dest;
	udp->dest = udp->source;
	udp->source = port;
	__u16 octets = sizeof(*udp) + dns_octets;
	udp->len = bpf_htons(octets);
	udp->check = 0;
	ip->tos = 0;
	ip->id = 0;
	ip->frag_off = bpf_htons(DONT_FRAGMENT);
	ip->ttl = TTL;
	ip->tot_len = bpf_htons(sizeof(*ip) + octets);
	ip->check = 0;
	__u64 sum = 0;
	__u16 *half = (void *)ip;
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += half[i];
	ip->check = folded(sum);
}

struct question {
	struct name_key key;
	__u32 octets; // name, type and class
	__u32 opt;	  // whether there is an OPT
	__u32 subnet; // whether it has a network
	__u32 network; // host order
};

// Reads what follows the header; 0: not mine.
//
// `octets` is the length of all that: a number is compared, because of an equality of pointers the verifier learns
// nothing, and the compiler would make one of the comparison of bounds.
static __always_inline int read_question(__u8 *start, void *end, __u32 octets, __u32 additionals,
					 struct question *question)
{
	__u8 *cursor = start;
	__u32 left = 0;
	int i;
	for (i = 0; i < NAME_OCTETS_MAX; i++) {
		if ((void *)(cursor + 1) > end)
			return 0;
		__u8 octet = *cursor++;
		if (left == 0) {
			if (octet == 0)
				break;
			// Pointers and lengths that no label has.
			if (octet > 63)
				return 0;
			left = octet;
		} else {
			left--;
			if (octet >= 'A' && octet <= 'Z')
				octet |= 0x20;
		}
		question->key.name[i] = octet;
	}
	if (i == NAME_OCTETS_MAX || (void *)(cursor + 4) > end)
		return 0;
	question->octets = i + 1 + 4;
	__be16 *words = (__be16 *)cursor;
	question->key.rtype = words[0];
	if (words[1] != bpf_htons(1))
		return 0;
	cursor += 4;
	if (additionals == 0)
		return octets == question->octets;

	// OPT: the root, its type, a payload, no extended RCODE, version 0, no flags.
	if ((void *)(cursor + OPT_OCTETS) > end || cursor[0] != 0 || cursor[1] != 0 || cursor[2] != OPT_TYPE)
		return 0;
	if (cursor[5] | cursor[6] | cursor[7] | cursor[8] | cursor[9])
		return 0;
	question->opt = 1;
	__u8 option_octets = cursor[10];
	cursor += OPT_OCTETS;
	if (octets != question->octets + OPT_OCTETS + option_octets)
		return 0;
	if (option_octets == 0)
		return 1;
	if (option_octets != SUBNET_OPTION_OCTETS || (void *)(cursor + SUBNET_OPTION_OCTETS) > end)
		return 0;
	// The option's code, length, family 1, source length 24, scope 0.
	if (cursor[0] != 0 || cursor[1] != SUBNET_CODE || cursor[2] != 0 || cursor[3] != 7 || cursor[4] != 0 ||
	    cursor[5] != 1 || cursor[6] != 24 || cursor[7] != 0)
		return 0;
	question->subnet = 1;
	question->network = (__u32)cursor[8] << 24 | (__u32)cursor[9] << 16 | (__u32)cursor[10] << 8;
	return 1;
}

// Ten bits of answer and six of scope for a network of 24 bits.
static __always_inline __u32 located(__u32 service, __u32 network, int with_trie)
{
	if (with_trie) {
		struct network_key key = { 32 + 24, bpf_htonl(service), bpf_htonl(network) };
		__u32 *found = bpf_map_lookup_elem(&trie_networks, &key);
		return found ? *found : UNKNOWN_ANSWER << 6;
	}
	__u32 index = service << 16 | network >> 16;
	struct networks *found = bpf_map_lookup_elem(&flat_networks, &index);
	return found ? found->by_third_octet[network >> 8 & 0xff] : UNKNOWN_ANSWER << 6;
}

// The sum over a reply that is in place, and the pseudo-header (RFC 768).
static __always_inline int checksum(struct xdp_md *context, __u32 dns_octets)
{
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	__u64 octets = sizeof(struct udphdr) + dns_octets;
	// The mask changes nothing; written so, the compiler cannot know that, and the verifier can.
	asm volatile("%0 &= 0xff" : "+r"(octets));
	if (!scratch || octets < sizeof(struct udphdr))
		return 0;
	if (bpf_xdp_load_bytes(context, sizeof(struct ethhdr) + sizeof(struct iphdr), scratch->octets, octets))
		return 0;
	__builtin_memset(&scratch->octets[octets], 0, 4);
	__u64 whole = (octets + 3) & 0x1fc;
	__s64 sum = bpf_csum_diff(0, 0, (void *)scratch->octets, whole, 0);
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	if (sum < 0 || (void *)(udp + 1) > end)
		return 0;
	__u64 all = (__u32)sum;
	all += ip->saddr;
	all += ip->daddr;
	all += bpf_htons(IPPROTO_UDP);
	all += udp->len;
	__u16 check = folded(all);
	udp->check = check ? check : 0xffff;
	return 1;
}

static __always_inline int answer(struct xdp_md *context, int with_trie, int with_checksum)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct udphdr *udp = mine(data, end);
	if (!udp)
		return XDP_PASS;
	struct dns_header *dns = (void *)(udp + 1);
	if ((void *)(dns + 1) > end)
		goto pass;
	__u16 flags = bpf_ntohs(dns->flags);
	__u32 additionals = bpf_ntohs(dns->additionals);
	if (flags & ~FLAGS_KNOWN || dns->questions != bpf_htons(1) || dns->answers || dns->authorities ||
	    additionals > 1)
		goto pass;
	struct question question = {};
	__u32 rest = bpf_ntohs(udp->len) - sizeof(*udp) - sizeof(*dns);
	if (!read_question((__u8 *)(dns + 1), end, rest, additionals, &question))
		goto pass;
	struct name_value *name = bpf_map_lookup_elem(&names, &question.key);
	if (!name)
		goto pass;

	__u32 number = name->first, scope = 0, steered = name->service;
	if (steered) {
		__u32 network = question.network;
		if (!question.subnet)
			network = bpf_ntohl(((struct iphdr *)(udp) - 1)->saddr) & 0xffffff00;
		__u32 found = located(steered - 1, network, with_trie);
		scope = found & 0x3f;
		if (found >> 6 == UNKNOWN_ANSWER)
			goto pass;
		// A resolver's own address has 32 bits; what is known here has 24.
		if (!question.subnet && scope > 24)
			goto pass;
		number += found >> 6;
	}
	struct answer *answer = bpf_map_lookup_elem(&answers, &number);
	if (!answer)
		goto pass;
	__u32 octets = answer->octets;
	if (octets == 0 || octets > RECORDS_OCTETS_MAX)
		goto pass;

	// From here on the frame is changed: what fails now cannot be passed.
	__u32 records_at = DNS_OCTETS + question.octets;
	__u32 opt_octets = question.opt ? OPT_OCTETS + (question.subnet ? SUBNET_OPTION_OCTETS : 0) : 0;
	__u32 dns_octets = records_at + octets + opt_octets;
	if (bpf_xdp_adjust_tail(context, (int)(FRAME_HEAD_OCTETS + dns_octets) - (int)(end - data)))
		goto pass;
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = data;
	dns = data + FRAME_HEAD_OCTETS;
	if ((void *)(dns + 1) > end)
		return XDP_DROP;
	turn(ethernet, dns_octets);
	dns->flags = bpf_htons(FLAG_RESPONSE | answer->flags | (flags & FLAG_RD));
	dns->answers = bpf_htons(answer->answers);
	dns->authorities = bpf_htons(answer->authorities);
	dns->additionals = bpf_htons(answer->additionals + question.opt);
	if (bpf_xdp_store_bytes(context, FRAME_HEAD_OCTETS + records_at, answer->records, octets))
		return XDP_DROP;
	if (question.opt) {
		__u8 opt[OPT_OCTETS + SUBNET_OPTION_OCTETS] = {
			0, 0, OPT_TYPE, payload_octets >> 8, payload_octets & 0xff, 0, 0, 0, 0, 0,
			question.subnet ? SUBNET_OPTION_OCTETS : 0,
			0, SUBNET_CODE, 0, 7, 0, 1, 24, scope,
			question.network >> 24, question.network >> 16 & 0xff, question.network >> 8 & 0xff,
		};
		__u32 at = FRAME_HEAD_OCTETS + records_at + octets;
		long failed = question.subnet ? bpf_xdp_store_bytes(context, at, opt, sizeof(opt))
					      : bpf_xdp_store_bytes(context, at, opt, OPT_OCTETS);
		if (failed)
			return XDP_DROP;
	}
	if (with_checksum && !checksum(context, dns_octets))
		return XDP_DROP;
	count(steered ? ANSWERED_STEERED : ANSWERED_STATIC);
	return XDP_TX;
pass:
	count(PASSED);
	return XDP_PASS;
}

// Answers; a client's network is looked up in a flat table.
SEC("xdp")
int answer_flat(struct xdp_md *context)
{
	return answer(context, 0, 1);
}

// The same with UDP's checksum left out (0): as where a card fills it in.
SEC("xdp")
int answer_bare(struct xdp_md *context)
{
	return answer(context, 0, 0);
}

// Answers; a client's network is looked up in the kernel's trie.
SEC("xdp")
int answer_trie(struct xdp_md *context)
{
	return answer(context, 1, 1);
}

// Sends every query back with QR set: the least that an answer in this hook can cost.
SEC("xdp")
int reflect(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct udphdr *udp = mine(data, end);
	if (!udp)
		return XDP_PASS;
	struct dns_header *dns = (void *)(udp + 1);
	if ((void *)(dns + 1) > end)
		return XDP_PASS;
	turn(data, bpf_ntohs(udp->len) - sizeof(*udp));
	dns->flags |= bpf_htons(FLAG_RESPONSE);
	return XDP_TX;
}

// Hands every query to the AF_XDP socket of its queue, if there is one.
SEC("xdp")
int redirect(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	if (!mine(data, end))
		return XDP_PASS;
	return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
}

// Lets everything through: what a program in the hook costs those that it does not answer.
SEC("xdp")
int pass(struct xdp_md *context)
{
	return XDP_PASS;
}

// No helper is used that asks for the GPL.
char licence[] SEC("license") = "Apache-2.0";
